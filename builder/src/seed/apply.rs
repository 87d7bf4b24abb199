//! Carries a plan out: images first, each whole under its name; the configuration last, in
//! one step.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::host::Host;
use super::plan::Plan;
use super::settings::{self, Layout};
use super::{Error, images};
use crate::fleet::new_file;
use crate::output::StagedDir;

/// Does what the plan says. `say` is told what is being done.
///
/// # Errors
/// When an image is not right, the disk is full, or the seed was set up from another
/// console meanwhile. The configuration is then what it was.
pub fn apply(
    plan: &Plan,
    layout: &Layout,
    host: &mut dyn Host,
    say: &mut dyn FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let dir = &layout.0;
    fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
    // A file of its own: the directory's lock is what `StagedDir` takes.
    let path = dir.join("lock");
    let lock = fs::File::create(&path).map_err(Error::io("make", &path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|e| Error::io("lock", &path)(e.into()))?;
    same_as_before(plan, layout)?;
    for image in &plan.copy {
        say(&format!("Copying {} …", image.name()))?;
        host_online(plan, image, host)?;
        images::copy(image, &layout.images(), host)?;
    }
    // The server may have changed the fleet file while images were copied.
    same_as_before(plan, layout)?;
    if plan.before.is_none() && layout.config().exists() {
        let kept = keep_damaged(layout)?;
        say(&format!(
            "The settings that were here do not read; what lay beside them is in {}.",
            kept.display()
        ))?;
    }
    let staged = StagedDir::create(&layout.config())?;
    let settings = serde_json::to_string_pretty(&plan.settings)
        .map_err(|source| Error::Settings { path: layout.settings(), source })?;
    let public = format!("untrusted comment: the key of this seed\n{}\n", plan.key.line);
    let files = [
        ("seed.json", &settings, 0o644),
        ("fleet.yaml", &plan.fleet, 0o600),
        ("ops.pub", &public, 0o644),
        ("ops.key", &plan.key.secret, 0o600),
    ];
    for (name, text, mode) in files {
        new_file(&staged.path().join(name), text, mode)?;
    }
    staged.commit_small_files(&files.map(|(name, ..)| name))?;
    Ok(())
}

/// Moves a configuration aside whose settings do not read: it has a key that sleds believe.
fn keep_damaged(layout: &Layout) -> Result<PathBuf, Error> {
    let config = layout.config();
    let mut names = (1_u32..).map(|n| config.with_extension(format!("damaged-{n}")));
    let free = names.find(|path| !path.exists()).unwrap_or_else(|| config.with_extension("damaged"));
    fs::rename(&config, &free).map_err(Error::io("rename", &config))?;
    Ok(free)
}

fn host_online(plan: &Plan, image: &images::Image, host: &mut dyn Host) -> Result<(), Error> {
    match &image.source {
        images::Source::Url(_) if plan.before.is_none() => {
            host.online(&plan.settings).map_err(Error::Network)
        }
        // A seed that serves is on its network.
        _ => Ok(()),
    }
}

fn same_as_before(plan: &Plan, layout: &Layout) -> Result<(), Error> {
    if settings::before(layout)? == plan.before { Ok(()) } else { Err(Error::Meanwhile) }
}

/// Links what the seed's image brings, so that it is found like the rest.
///
/// # Errors
/// When that cannot be written.
pub fn own_images(layout: &Layout) -> Result<(), Error> {
    images::link_own(Path::new(OWN), &layout.images())
}

/// Where an image of a seed has images for sleds.
const OWN: &str = "/usr/share/sledos/images";
