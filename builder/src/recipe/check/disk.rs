//! `layout:`, `compression:` and `budgets:`.

use crate::recipe::model::{Budgets, Compression, Layout};
use crate::recipe::values;
use yaml::{Cursor, Wrong};

const MIB: u64 = 1 << 20;

pub(super) fn layout(at: Option<Cursor<'_>>) -> Option<Layout> {
    let default = Layout::default();
    let Some(at) = at else { return Some(default) };
    let fields = at.fields()?;
    let size = |key, default| fields.or(key, default, |at| at.text(values::partition_size));
    let esp = size("esp", default.esp);
    let usr = size("usr", default.usr);
    let verity = size("verity", default.verity);
    let oem = size("oem", default.oem);
    let root = size("root", default.root);
    fields.finish();
    Some(Layout { esp: esp?, usr: usr?, verity: verity?, oem: oem?, root: root? })
}

pub(super) fn compression(at: Option<Cursor<'_>>) -> Option<Compression> {
    let default = Compression { usr_level: 15, block_size: 256 << 10, initramfs_level: 19 };
    let Some(at) = at else { return Some(default) };
    let fields = at.fields()?;
    let level =
        |key, default| fields.or(key, default, |at| at.integer(1..=22).and_then(|n| i32::try_from(n).ok()));
    let usr_level = level("usr-level", default.usr_level);
    let initramfs_level = level("initramfs-level", default.initramfs_level);
    let block_size = fields.or("block-size", default.block_size, |at| at.text(values::block_size));
    fields.finish();
    Some(Compression { usr_level: usr_level?, block_size: block_size?, initramfs_level: initramfs_level? })
}

pub(super) fn budgets(at: Option<Cursor<'_>>) -> Option<Budgets> {
    let Some(at) = at else { return Some(Budgets::default()) };
    let fields = at.fields()?;
    let size = |key| fields.optional(key, |at| at.text(values::size));
    let (usr, initramfs, init, uki) = (size("usr"), size("initramfs"), size("init"), size("uki"));
    fields.finish();
    Some(Budgets { usr: usr?, initramfs: initramfs?, init: init?, uki: uki? })
}

/// Bytes of a verity hash tree (sha256, 4 KiB blocks, superblock included) over `data` bytes.
fn verity_bytes(data: u64) -> u64 {
    let mut blocks = data.div_ceil(4096);
    let mut total = 1;
    while blocks > 1 {
        blocks = blocks.div_ceil(4096 / 32);
        total += blocks;
    }
    total * 4096
}

/// The first of these keys that the file has. (Defaults fit each other, so what does
/// not fit has one.)
fn key<'a>(at: &Option<Cursor<'a>>, keys: &[&str]) -> Option<Cursor<'a>> {
    let at = at.as_ref()?;
    let node = keys.iter().find_map(|key| at.node.get(key))?;
    Some(Cursor { node, ..at.clone() })
}

/// Reports partitions that cannot hold what they are for.
pub(super) fn fits(
    layout: &Layout,
    budgets: &Budgets,
    layout_at: Option<Cursor<'_>>,
    budgets_at: Option<Cursor<'_>>,
) {
    let needed = verity_bytes(layout.usr);
    if needed > layout.verity
        && let Some(at) = key(&layout_at, &["verity", "usr"])
    {
        let mib = needed.div_ceil(MIB);
        at.wrong::<()>(
            Wrong::new(format!(
                "the hash tree of a {} MiB /usr does not fit into `layout.verity`",
                layout.usr / MIB
            ))
            .why(format!("it needs {mib} MiB, the partition has {} MiB", layout.verity / MIB))
            .hint(format!("write `verity: {mib}MiB` or more")),
        );
    }
    for (budget, name, room, partition) in
        [(budgets.usr, "usr", layout.usr, "usr"), (budgets.uki, "uki", layout.esp, "esp")]
    {
        if budget.is_some_and(|budget| budget > room)
            && let Some(at) = key(&budgets_at, &[name])
        {
            at.wrong::<()>(
                Wrong::new(format!("the budget of `{name}` is larger than its partition"))
                    .why(format!("`layout.{partition}` is {} MiB", room / MIB))
                    .hint("lower the budget or enlarge the partition"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verity_tree_of_512_mib() {
        // 131072 data blocks: 1024 + 8 + 1 hash blocks and the superblock.
        assert_eq!(verity_bytes(512 * MIB), (1024 + 8 + 1 + 1) * 4096);
        assert_eq!(verity_bytes(4096), 4096);
    }
}
