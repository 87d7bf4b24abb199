//! Carries out a plan. At any moment a power cut leaves a disk with no valid slot for
//! this image, or with a whole one; and one that a second run knows what to do with.
//!
//! On a whole disk the filesystems come before the table: a disk that has our table
//! has them whole. In both cases the slot gets ids that no image has before the first
//! byte of it is written, and those of the image after the last one was read back.

use super::classify::{MARK, MARK_AT};
use super::disk::{Disk, Window, on};
use super::plan::{Filesystem, Plan};
use super::{Error, Job, stream, table};
use formats::gpt::Partition;
use formats::layout::Role;
use formats::tree::{Node, Origin, Tree, TreePath};
use formats::{ext4, verity};

/// Name of the file on OEM that says what is not in the image.
const CONF: &str = "sledos.conf";
/// Bytes that are compared at one time.
const COMPARE: usize = 256 << 10;

/// Carries out a plan for the image of the job, whose verity tree is there already.
/// `conf`: text for OEM, used when the disk is partitioned.
pub(super) fn carry_out(
    plan: &Plan,
    disk: &dyn Disk,
    tree: &verity::Tree,
    job: &Job<'_>,
    conf: &str,
) -> Result<(), Error> {
    prepare(plan, disk, conf)?;
    fill(plan, disk, tree, job)?;
    table::write(disk, &plan.final_table()).map_err(|source| table_error(plan, source))
}

fn table_error(plan: &Plan, source: table::Failed) -> Error {
    Error::Table { disk: plan.disk.clone(), source }
}

/// Everything but the slot, and the slot made invalid.
fn prepare(plan: &Plan, disk: &dyn Disk, conf: &str) -> Result<(), Error> {
    if let Some(whole) = &plan.whole {
        let failed = || on(&plan.disk, "is not written to");
        // Before anything of ours is on it, so that it is known at any time.
        disk.zero(0, MARK_AT).map_err(failed())?;
        let mut mark = [0; 4096];
        mark[..MARK.len()].copy_from_slice(MARK);
        disk.write(MARK_AT, &mark).and_then(|()| disk.flush()).map_err(failed())?;
        for (at, len) in &whole.zero {
            // The mark stays until there is a table.
            let len = if *at == 0 { MARK_AT.min(*len) } else { *len };
            disk.zero(*at, len).map_err(failed())?;
        }
        disk.flush().map_err(failed())?;
        for Filesystem { role, start, options } in &whole.filesystems {
            let origin = Origin::Fixup("install");
            let mut tree = Tree::new(Node::dir(origin.clone()));
            if *role == Role::Oem {
                let path = TreePath::parse(CONF.as_bytes()).map_err(|e| Error::Document(e.to_string()))?;
                let _ = tree.insert(path, Node::file(conf.as_bytes(), 0o644, origin));
            }
            let mut window = Window::new(disk, *start, 0);
            ext4::write(&mut window, &tree, options).map_err(|source| Error::Ext4 {
                disk: plan.disk.clone(),
                role: role.label(),
                source,
            })?;
            window.finish().map_err(failed())?;
        }
        for (at, bytes) in &whole.raw {
            disk.write(*at, bytes).map_err(failed())?;
        }
        disk.flush().map_err(failed())?;
    }
    table::write(disk, &plan.table).map_err(|source| table_error(plan, source))?;
    // From here on the table says that the disk is ours; also when the mark is that
    // of an earlier run.
    let mut mark = [0; MARK.len()];
    disk.read(MARK_AT, &mut mark)
        .and_then(
            |()| if mark == *MARK { disk.zero(MARK_AT, 4096).and_then(|()| disk.flush()) } else { Ok(()) },
        )
        .map_err(on(&plan.disk, "is not written to"))
}

/// The slot: written, flushed, read back.
fn fill(plan: &Plan, disk: &dyn Disk, tree: &verity::Tree, job: &Job<'_>) -> Result<(), Error> {
    let missing = || Error::Document("no partition for /usr".to_owned());
    let usr = plan.partition(plan.usr).ok_or_else(missing)?;
    let verity = plan.partition(plan.verity).ok_or_else(missing)?;
    let read = |at, buffer: &mut [u8]| disk.read(usr.start + at, buffer);
    // What an earlier run left and is right need not be fetched again.
    let from = tree.good_blocks(&read);
    if from > 0 {
        let says =
            format!("install: {from} of {} blocks of /usr are on {} already", tree.blocks(), plan.disk);
        job.log.say(&says);
    }
    stream::usr(job.source, &job.image.usr, tree, from, job.log, &mut |at, bytes| {
        disk.write(usr.start + at, bytes).map_err(on(&plan.disk, "is not written to"))
    })?;
    disk.write(verity.start, tree.bytes())
        .and_then(|()| disk.flush())
        .map_err(on(&plan.disk, "is not written to"))?;
    let right = tree.good_blocks(&read);
    if right < tree.blocks() {
        return Err(Error::ReadBack { disk: plan.disk.clone(), partition: usr.name.clone(), block: right });
    }
    same(disk, verity, tree.bytes(), plan)
}

/// Whether a partition begins with these bytes.
fn same(disk: &dyn Disk, partition: &Partition, bytes: &[u8], plan: &Plan) -> Result<(), Error> {
    let mut buffer = vec![0; COMPARE];
    let mut at = partition.start;
    for expected in bytes.chunks(COMPARE) {
        let found = &mut buffer[..expected.len()];
        disk.read(at, found).map_err(on(&plan.disk, "does not read"))?;
        if found != expected {
            let block = (at - partition.start) / verity::BLOCK;
            let partition = partition.name.clone();
            return Err(Error::ReadBack { disk: plan.disk.clone(), partition, block });
        }
        at += expected.len() as u64;
    }
    Ok(())
}
