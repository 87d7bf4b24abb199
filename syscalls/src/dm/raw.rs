//! `struct dm_ioctl` and what follows it, as the kernel wants it.

use rustix::ioctl;
use std::os::fd::AsFd;

/// Whole size of a request: header, target and its parameters.
const SIZE: usize = 4096;
/// Room for the target's parameters, its NUL included.
pub(super) const MAX_PARAMS: usize = SIZE - size_of::<Header>() - TARGET_SPEC;
/// `sizeof(struct dm_target_spec)`: sector_start u64, length u64, status i32,
/// next u32, target_type 16 bytes.
const TARGET_SPEC: usize = 40;

const READONLY: u32 = 1 << 0;
/// Ask for the table in place of the state (`DM_STATUS_TABLE_FLAG`).
const STATUS_TABLE: u32 = 1 << 4;
/// Do it when the device is closed (`DM_DEFERRED_REMOVE`).
const DEFERRED_REMOVE: u32 = 1 << 17;
/// The kernel had more to say than fits.
const BUFFER_FULL: u32 = 1 << 8;

pub(super) const DEV_CREATE: ioctl::Opcode = opcode(3);
pub(super) const DEV_REMOVE: ioctl::Opcode = opcode(4);
/// Suspends with the suspend flag set, resumes without.
pub(super) const DEV_SUSPEND: ioctl::Opcode = opcode(6);
pub(super) const TABLE_LOAD: ioctl::Opcode = opcode(9);
pub(super) const TABLE_STATUS: ioctl::Opcode = opcode(12);

const fn opcode(number: u8) -> ioctl::Opcode {
    ioctl::opcode::read_write::<Header>(0xfd, number)
}

/// `struct dm_ioctl`.
#[repr(C)]
struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    /// `huge_encode_dev`: minor bits 0-7 and 20-31, major bits 8-19.
    dev: u64,
    name: [u8; 128],
    uuid: [u8; 129],
    data: [u8; 7],
}

/// A header with room behind it for one target.
#[repr(C)]
pub(super) struct Request {
    header: Header,
    payload: [u8; SIZE - size_of::<Header>()],
}

const _: () = assert!(size_of::<Header>() == 312);
const _: () = assert!(std::mem::offset_of!(Header, dev) == 40);
const _: () = assert!(std::mem::offset_of!(Header, uuid) == 176);
const _: () = assert!(size_of::<Request>() == SIZE);
const _: () = assert!(DEV_CREATE == 0xc138_fd03);

/// Copies text into a NUL-terminated field; false when it does not fit.
fn set_text(field: &mut [u8], text: &str) -> bool {
    let Some((room, _)) = field.split_at_mut_checked(text.len()) else { return false };
    if text.contains('\0') || room.len() == field.len() {
        return false;
    }
    field.fill(0);
    field.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    true
}

impl Request {
    /// A request about the device of this name (1 to 127 bytes).
    pub(super) fn named(name: &str) -> Option<Box<Self>> {
        let header = Header {
            version: [4, 0, 0],
            data_size: 4096,
            data_start: 312,
            target_count: 0,
            open_count: 0,
            flags: 0,
            event_nr: 0,
            padding: 0,
            dev: 0,
            name: [0; 128],
            uuid: [0; 129],
            data: [0; 7],
        };
        let mut request = Box::new(Self { header, payload: [0; SIZE - size_of::<Header>()] });
        (!name.is_empty() && set_text(&mut request.header.name, name)).then_some(request)
    }

    pub(super) fn set_uuid(&mut self, uuid: &str) -> bool {
        set_text(&mut self.header.uuid, uuid)
    }

    /// One read-only target from sector 0.
    pub(super) fn set_table(&mut self, sectors: u64, target: &str, params: &str) -> bool {
        self.header.flags |= READONLY;
        self.header.target_count = 1;
        let (spec, text) = self.payload.split_at_mut(TARGET_SPEC);
        spec.fill(0);
        // sector_start, status and next stay 0: one target, nothing after it.
        spec[8..16].copy_from_slice(&sectors.to_ne_bytes());
        set_text(&mut spec[24..40], target) && set_text(text, params)
    }

    /// Makes [`TABLE_STATUS`] tell the table.
    pub(super) fn ask_for_table(&mut self) {
        self.header.flags |= STATUS_TABLE;
    }

    /// Makes [`DEV_REMOVE`] wait until the device is closed.
    pub(super) fn defer(&mut self) {
        self.header.flags |= DEFERRED_REMOVE;
    }

    /// Minor number of the device, after a call that tells it.
    pub(super) fn minor(&self) -> u32 {
        let [a, b, c, d, ..] = self.header.dev.to_le_bytes();
        let low = u32::from_le_bytes([a, b, c, d]);
        (low & 0xff) | ((low >> 12) & 0xfff00)
    }

    /// Length and text of the first target, after [`TABLE_STATUS`].
    pub(super) fn status(&self) -> Option<(u64, String)> {
        if self.header.target_count == 0 || self.header.flags & BUFFER_FULL != 0 {
            return None;
        }
        let start = usize::try_from(self.header.data_start).ok()?.checked_sub(size_of::<Header>())?;
        let answer = self.payload.get(start..)?;
        let (spec, text) = answer.split_at_checked(TARGET_SPEC)?;
        let length = spec.get(8..)?.first_chunk().copied().map(u64::from_ne_bytes)?;
        let text = text.split(|b| *b == 0).next()?;
        Some((length, String::from_utf8_lossy(text).into_owned()))
    }

    /// Hands the request to the kernel, which writes its answer into it.
    pub(super) fn call<const OPCODE: ioctl::Opcode>(&mut self, control: impl AsFd) -> rustix::io::Result<()> {
        // SAFETY: every opcode used is a device-mapper one, and they all take a
        // `struct dm_ioctl` whose `data_size` says how long the buffer is. It
        // is always the size of `Request` (set in `named`, asserted above), and
        // any bytes the kernel writes are a valid `Request`.
        unsafe { ioctl::ioctl(control, ioctl::Updater::<OPCODE, Self>::new(self)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_is_taken_apart_as_huge_encode_dev_puts_it_together() {
        let mut request = Request::named("usr").unwrap();
        // major 253, minor 0x12345
        request.header.dev = 0x1230_0000 | (253 << 8) | 0x45;
        assert_eq!(request.minor(), 0x12345);
    }

    #[test]
    fn a_table_is_laid_out_as_the_kernel_reads_it() {
        let mut request = Request::named("usr").unwrap();
        assert!(request.set_table(0x0102, "verity", "1 /dev/vda1"));
        assert_eq!(request.header.flags, READONLY);
        assert_eq!(request.payload[..8], [0; 8]);
        assert_eq!(request.payload[8..16], 0x0102u64.to_ne_bytes());
        assert_eq!(&request.payload[24..32], b"verity\0\0");
        assert_eq!(&request.payload[40..52], b"1 /dev/vda1\0");
        assert_eq!(request.status(), Some((0x0102, "1 /dev/vda1".into())));
    }

    #[test]
    fn the_flag_that_asks_for_the_table_is_the_kernels() {
        let mut request = Request::named("usr").unwrap();
        request.ask_for_table();
        assert_eq!(request.header.flags, 0x10);
    }

    #[test]
    fn a_status_that_points_outside_the_answer_is_no_status() {
        let mut request = Request::named("usr").unwrap();
        request.header.target_count = 1;
        for start in [0, 311, 4096, u32::MAX] {
            request.header.data_start = start;
            assert_eq!(request.status(), None, "{start}");
        }
    }
}
