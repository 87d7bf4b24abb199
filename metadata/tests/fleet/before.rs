//! What is known of files spares reading them, and can make nothing wrong.

use super::compile::{NOW, inputs_of, signer, trusted};
use super::{FLEET, source};
use metadata::document::Document;
use metadata::fleet::before::{Before, FileId, Verified};
use metadata::fleet::compile::{File, INDEX, Inputs, Plan, compile, signature};
use metadata::fleet::load;
use metadata::fleet::sign::{Signer, new_key};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A server's files, each with a number that it alone has.
#[derive(Clone, Default)]
struct Disk {
    files: BTreeMap<String, (Arc<[u8]>, FileId)>,
    last: u64,
    read: RefCell<BTreeSet<String>>,
}

impl Before for Disk {
    fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        self.read.borrow_mut().insert(path.to_owned());
        self.files.get(path).map(|(bytes, _)| Arc::clone(bytes))
    }

    fn id(&self, path: &str) -> Option<FileId> {
        self.files.get(path).map(|(_, id)| *id)
    }
}

impl Disk {
    fn plan(&self, text: &str, time: u64, verified: &Verified) -> Plan {
        self.read.borrow_mut().clear();
        let fleet = load(&source(&trusted(text))).unwrap();
        let (images, cmdlines) = inputs_of(&fleet);
        let inputs = Inputs {
            images: &images,
            cmdlines: &cmdlines,
            time,
            signer: signer(),
            freshness: None,
            least_generation: 1,
            before: self,
            verified,
        };
        compile(&fleet, &inputs).unwrap()
    }

    fn put(&mut self, path: &str, bytes: Arc<[u8]>) {
        self.last += 1;
        self.files.insert(path.to_owned(), (bytes, FileId([self.last, 0, 0])));
    }

    /// Carries a plan out; the same bytes in memory are one file.
    fn write(&mut self, plan: &Plan) {
        self.files.retain(|path, _| plan.files.contains_key(path));
        let mut made: BTreeMap<*const u8, FileId> = BTreeMap::new();
        for (path, file) in &plan.files {
            let File::Write(bytes) = file else { continue };
            match made.get(&bytes.as_ptr()) {
                Some(id) => drop(self.files.insert(path.clone(), (Arc::clone(bytes), *id))),
                None => {
                    self.put(path, Arc::clone(bytes));
                    made.insert(bytes.as_ptr(), self.id(path).unwrap());
                }
            }
        }
    }

    /// Compiles, and returns what is known then.
    fn compile(&mut self, text: &str, time: u64, verified: &Verified) -> (Plan, Verified) {
        let plan = self.plan(text, time, verified);
        self.write(&plan);
        let verified = Verified::of(&plan, |path| self.id(path));
        (plan, Verified::parse(&verified.to_bytes(signer()), signer()))
    }

    /// What was read besides the list of sleds.
    fn read(&self) -> Vec<String> {
        let list = [INDEX.to_owned(), signature(INDEX)];
        self.read.borrow().iter().filter(|path| !list.contains(path)).cloned().collect()
    }
}

#[test]
fn what_is_known_is_not_read_and_the_plan_is_the_same() {
    let mut disk = Disk::default();
    let (_, known) = disk.compile(FLEET, NOW, &Verified::default());
    let day = 86_400;
    for (text, time) in [
        (FLEET.to_owned(), NOW + 1),
        (FLEET.replace("mtu: 1500", "mtu: 1400"), NOW + 1),
        (FLEET.replace("ZM18AS036103", "ZM18AS036999"), NOW + 1),
        (FLEET.replace("52:54:00:12:00:01", "52:54:00:12:00:77"), NOW + 1),
        (FLEET.to_owned(), NOW + 46 * day),
    ] {
        let slow = disk.plan(&text, time, &Verified::default());
        assert!(disk.read().len() > 30, "{:?}", disk.read());
        let fast = disk.plan(&text, time, &known);
        assert_eq!((&fast.files, &fast.changed, &fast.index), (&slow.files, &slow.changed, &slow.index));
        assert_eq!((fast.unchanged, &fast.documents), (slow.unchanged, &slow.documents));
        // Documents whose keys changed lie at other paths than before.
        let moved = text.contains("ZM18AS036999") || text.contains("00:77");
        assert_eq!(disk.read().is_empty(), !moved, "{:?}", disk.read());
        assert!(disk.read().len() < 30, "{:?}", disk.read());
    }
}

#[test]
fn what_is_damaged_or_anothers_is_as_nothing() {
    let mut disk = Disk::default();
    let (plan, known) = disk.compile(FLEET, NOW, &Verified::default());
    let bytes = known.to_bytes(signer());
    assert_eq!(Verified::parse(&bytes, signer()), known);
    assert_ne!(known, Verified::default());
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        assert_eq!(Verified::parse(&bad, signer()), Verified::default(), "byte {at}");
    }
    for length in (0..bytes.len()).step_by(7) {
        assert_eq!(Verified::parse(&bytes[..length], signer()), Verified::default(), "{length} bytes");
    }
    let other = Signer::parse(&new_key("o", None).unwrap().secret, None).unwrap();
    let foreign = Verified::of(&plan, |path| disk.id(path)).to_bytes(&other);
    assert_eq!(Verified::parse(&foreign, signer()), Verified::default());
    // Without it all is read, and nothing new is written.
    let again = disk.plan(FLEET, NOW + 1, &Verified::default());
    assert!(again.files.values().all(|file| *file == File::Keep) && disk.read().len() > 30);
}

#[test]
fn another_file_at_a_path_is_read_and_mended() {
    let mut disk = Disk::default();
    disk.compile(FLEET, NOW, &Verified::default());
    let old = disk.files.clone();
    let changed = FLEET.replace("mtu: 1500", "mtu: 1400");
    let (_, known) = disk.compile(&changed, NOW + 1, &Verified::default());
    let good = disk.clone();
    let bytes = |disk: &Disk| -> BTreeMap<String, Arc<[u8]>> {
        disk.files.iter().map(|(path, (bytes, _))| (path.clone(), Arc::clone(bytes))).collect()
    };
    let document = "v1/location/r12/3.json";
    for path in [document.to_owned(), signature(document), "v1/ipxe/any.ipxe".to_owned()] {
        // Gone, damaged, and put back from a time before.
        for bytes_there in [None, Some(Arc::from(&b"{}"[..])), Some(Arc::clone(&old[&path].0))] {
            let mut disk = good.clone();
            match bytes_there {
                None => drop(disk.files.remove(&path)),
                Some(there) => disk.put(&path, there),
            }
            disk.compile(&changed, NOW + 2, &known);
            assert!(bytes(&disk) == bytes(&good), "{path}");
        }
    }
    // All of them put back: the next generation, not the one that was seen.
    let mut disk = good.clone();
    for (path, (there, _)) in old.iter().filter(|(path, _)| *path != INDEX && **path != signature(INDEX)) {
        disk.put(path, Arc::clone(there));
    }
    disk.compile(&changed, NOW + 2, &known);
    assert_eq!(Document::parse(&disk.files[document].0).unwrap().head().generation, 3);
}
