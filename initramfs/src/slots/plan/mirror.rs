//! A plan for a disk whose ROOT is half of an array.

use super::{Filesystem, Plan};
use crate::slots::choose::Refusal;
use crate::slots::mirror::Half;
use formats::gpt::types;
use formats::layout::Role;
use formats::md;

impl Plan {
    /// The plan for a whole disk with its ROOT as a member. One that only writes a slot
    /// stays as it is.
    ///
    /// # Errors
    /// When ROOT is too small for the array.
    pub(in crate::slots) fn mirrored(mut self, half: &Half, uuid: [u8; 16]) -> Result<Self, Refusal> {
        let Some(whole) = &mut self.whole else { return Ok(self) };
        let root = self.table.partitions.iter_mut().find(|p| p.name == Role::Root.label());
        let has = root.as_ref().map_or(0, |root| md::capacity(root.size));
        let needs = half.array.size;
        let what = Role::Root.label();
        let Some(root) = root.filter(|_| has >= needs) else {
            return Err(Refusal::TooSmall { disk: self.says, what, has, needs });
        };
        root.type_guid = types::LINUX_RAID;
        let start = root.start;
        // Superblock and bitmap lie before the filesystem.
        for (at, len) in whole.zero.iter_mut().filter(|(at, _)| *at == start) {
            *len = (*len + md::DATA).min(root.start + root.size - *at);
        }
        let Some(number) = half.number else {
            // Its content comes from the other half.
            whole.filesystems.retain(|fs| fs.role != Role::Root);
            return Ok(self);
        };
        whole.raw.push((start + md::SUPERBLOCK, md::member(&half.array, number, uuid)));
        for Filesystem { start, options, .. } in
            whole.filesystems.iter_mut().filter(|fs| fs.role == Role::Root)
        {
            *start += md::DATA;
            options.size = options.size.min(half.array.size / 4096 * 4096);
            [options.uuid, options.hash_seed] = half.filesystem;
        }
        Ok(self)
    }
}
