//! The fleet file, as the server wants it: watched, compiled, changed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::date::civil;
use crate::exit::Failure;
use crate::fleet::{
    Error, Partial, apply_ignition, check_published, compile_found, find_images, link_uki, read_source,
    replace_file,
};
use metadata::fleet::bind::{Newcomer, bind};
use metadata::fleet::file::Hardware;
use metadata::fleet::sign::Signer;
use metadata::fleet::{Fleet, load};
use metadata::signature::TrustedKey;
use server::bind::Binding;

/// After so long documents are compiled again: those of which half the lifetime is over
/// are renewed then. No lifetime is shorter than four times that.
const RENEW: Duration = Duration::from_secs(900);

/// A fleet file, its images and its key.
#[derive(Debug)]
pub struct FleetOnDisk {
    file: PathBuf,
    images: PathBuf,
    signer: Signer,
    freshness: TrustedKey,
    output: PathBuf,
    pxe: PathBuf,
    clock: fn() -> u64,
    seen: Option<Seen>,
    compiled: Option<Instant>,
}

/// What says that something has changed: the file, and every file of each image, because
/// copying one in place is not to be seen at the directories.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    file: Option<[i64; 4]>,
    images: Vec<([i64; 4], PathBuf)>,
}

impl FleetOnDisk {
    /// Compiles `file` with the images below `images` into `output`, and puts the UKI that
    /// most sleds have into `pxe`. Documents name the key `freshness`. `clock` gives seconds
    /// since 1970.
    pub fn new(
        file: &Path,
        images: &Path,
        signer: Signer,
        freshness: TrustedKey,
        output: &Path,
        pxe: &Path,
        clock: fn() -> u64,
    ) -> Self {
        let (file, images, output, pxe) =
            (file.to_owned(), images.to_owned(), output.to_owned(), pxe.to_owned());
        Self { file, images, signer, freshness, output, pxe, clock, seen: None, compiled: None }
    }

    fn look(&self) -> Seen {
        let stamp = |meta: fs::Metadata| {
            let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            [number(meta.ino()), number(meta.len()), meta.mtime(), meta.mtime_nsec()]
        };
        let below = |dir: PathBuf| {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            let shown = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
            std::iter::once(dir).chain(shown.map(|entry| entry.path()).collect::<Vec<_>>())
        };
        // Images, their versions, the files of these.
        let all = below(self.images.clone()).flat_map(&below).flat_map(&below).collect::<BTreeSet<_>>();
        let images =
            all.into_iter().filter_map(|path| Some((stamp(fs::metadata(&path).ok()?), path))).collect();
        Seen { file: fs::metadata(&self.file).ok().map(stamp), images }
    }

    fn load(&self) -> Result<Fleet, Error> {
        let mut fleet = load(&read_source(&self.file)?)?;
        apply_ignition(&mut fleet, &self.file)?;
        Ok(fleet)
    }
}

/// An error with its causes, as on the terminal.
fn shown(error: Error) -> String {
    let mut text = Vec::new();
    Failure::from(error).print(&mut text);
    String::from_utf8_lossy(&text).trim_end().trim_start_matches("error: ").to_owned()
}

impl server::Fleet for FleetOnDisk {
    fn changed(&mut self) -> bool {
        let now = self.look();
        let due = self.compiled.is_some_and(|at| at.elapsed() > RENEW);
        let changed = self.seen.as_ref() != Some(&now) || due;
        self.seen = Some(now);
        changed
    }

    fn compile(&mut self) -> Result<String, String> {
        self.compiled = Some(Instant::now());
        let fleet = self.load().map_err(shown)?;
        let done = find_images(&fleet, &self.images, Partial::PassOver).and_then(|found| {
            check_published(&fleet, &found, &self.output)?;
            link_uki(&fleet, &found, &self.pxe)?;
            let (signer, freshness) = (&self.signer, Some(&self.freshness));
            let (plan, _) =
                compile_found(&fleet, &found, signer, freshness, &self.output, (self.clock)(), 1)?;
            Ok((plan, found))
        });
        let (plan, found) = done.map_err(shown)?;
        let (new, same) = (plan.changed.len(), plan.unchanged);
        let mut says = vec![format!("fleet {}: {new} documents new, {same} as they were", fleet.file.fleet)];
        says.extend(found.values().map(ToString::to_string));
        let passed = found.values().flat_map(|found| &found.passed);
        says.extend(passed.map(|why| format!("not whole, so passed over: {why}")));
        Ok(says.join("; "))
    }

    fn bind(&mut self, binding: &Binding) -> Result<String, String> {
        let facts = &binding.hardware;
        let hardware = Hardware {
            board_serial: facts.board_serial.clone(),
            product_serial: facts.product_serial.clone(),
            uuid: facts.uuid.clone(),
            macs: facts.macs().collect(),
            bmc_mac: None,
        };
        let (year, month, day) = civil(i64::try_from((self.clock)() / 86_400).unwrap_or(0));
        let new = Newcomer {
            rack: binding.wanted.rack.clone(),
            bay: binding.wanted.bay,
            role: binding.wanted.role.clone(),
            hardware,
            date: format!("{year:04}-{month:02}-{day:02}"),
        };
        let source = read_source(&self.file).map_err(shown)?;
        // The documents may be older than the file.
        let sleds = load(&source).map_err(|e| shown(e.into()))?.file.sleds;
        let here = sleds.iter().find(|(_, sled)| sled.rack == new.rack && sled.bay == new.bay);
        if let Some((name, _)) = here.filter(|_| !binding.wanted.replace) {
            return Err(format!(
                "rack {} bay {} is the place of {name} in the fleet file",
                new.rack, new.bay
            ));
        }
        let (text, sled) = bind(&source, &new).map_err(|e| shown(e.into()))?;
        replace_file(&self.file, &text).map_err(shown)?;
        // It is compiled now; that is no change to be seen later.
        self.seen = Some(self.look());
        Ok(format!("{} is now {sled}, in rack {} bay {}", binding.wanted.id, new.rack, new.bay))
    }
}
