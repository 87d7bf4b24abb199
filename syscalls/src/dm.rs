//! Device-mapper devices: make, load a table, start, ask, remove.
//!
//! Source: Linux `include/uapi/linux/dm-ioctl.h`, interface version 4. A device
//! made here is complete without udev: devtmpfs makes its `/dev/dm-N` node, a
//! name below `/dev/mapper` is the caller's to make.

mod raw;

use raw::Request;
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Where the kernel (module `dm_mod`) offers device-mapper.
pub const CONTROL: &str = "/dev/mapper/control";

/// Longest table line in bytes; the rest of a request is fixed.
pub const MAX_PARAMS: usize = raw::MAX_PARAMS;

/// What failed, and with which `errno`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The control device cannot be opened: `dm_mod` is not loaded.
    Control(Errno),
    /// A name, UUID, target or parameter is too long or holds a NUL byte.
    Argument(&'static str),
    /// The kernel refused to make the device: `EBUSY` when the name is taken.
    Create(Errno),
    /// The kernel refused the table: `EINVAL` for an unknown target (module not
    /// loaded) or parameters the target does not accept; it logs the reason.
    Load(Errno),
    /// The device did not start.
    Resume(Errno),
    /// Its state could not be read.
    Status(Errno),
    /// It could not be removed: `EBUSY` while it is mounted or open.
    Remove(Errno),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Control(e) => write!(f, "{CONTROL} does not open ({e}); is module dm_mod loaded?"),
            Self::Argument(what) => write!(f, "device-mapper takes no such {what}"),
            Self::Create(e) => write!(f, "device-mapper did not make the device ({e})"),
            Self::Load(e) => write!(f, "device-mapper refused the table ({e}); the kernel log says why"),
            Self::Resume(e) => write!(f, "the device-mapper device did not start ({e})"),
            Self::Status(e) => write!(f, "device-mapper does not tell the device's state ({e})"),
            Self::Remove(e) => write!(f, "the device-mapper device cannot be removed ({e})"),
        }
    }
}

impl std::error::Error for Error {}

/// A read-only mapping made of one target that starts at sector 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Length in units of 512 bytes, whatever the disk's sector size.
    pub sectors: u64,
    /// Target type: `verity`, `linear`…
    pub target: &'a str,
    /// The target's parameters as text.
    pub params: &'a str,
}

/// The number of a made device: `/dev/dm-<minor>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Minor number.
    pub minor: u32,
}

/// The open control device.
#[derive(Debug)]
pub struct Mapper {
    control: File,
}

impl Mapper {
    /// Opens [`CONTROL`].
    ///
    /// # Errors
    /// When it is not there or not ours to open.
    pub fn open() -> Result<Self, Error> {
        Self::open_at(Path::new(CONTROL))
    }

    fn open_at(path: &Path) -> Result<Self, Error> {
        let open = File::options().read(true).write(true).open(path);
        let control = open.map_err(|e| Error::Control(Errno::from_io_error(&e).unwrap_or(Errno::IO)))?;
        Ok(Self { control })
    }

    /// Makes a device with this name and UUID, loads the table read-only and
    /// starts it. A device half made is removed again.
    ///
    /// # Errors
    /// Each stage has its own.
    pub fn create_read_only(&self, name: &str, uuid: &str, table: &Table<'_>) -> Result<Device, Error> {
        let mut request = Request::named(name).ok_or(Error::Argument("name"))?;
        if !request.set_uuid(uuid) {
            return Err(Error::Argument("UUID"));
        }
        let mut load = Request::named(name).ok_or(Error::Argument("name"))?;
        if !load.set_table(table.sectors, table.target, table.params) {
            return Err(Error::Argument("table"));
        }
        request.call::<{ raw::DEV_CREATE }>(&self.control).map_err(Error::Create)?;
        let device = Device { minor: request.minor() };
        let started = load.call::<{ raw::TABLE_LOAD }>(&self.control).map_err(Error::Load).and_then(|()| {
            let mut resume = Request::named(name).ok_or(Error::Argument("name"))?;
            resume.call::<{ raw::DEV_SUSPEND }>(&self.control).map_err(Error::Resume)
        });
        if started.is_err() {
            // The first error is the one worth telling.
            let _ = self.remove(name);
        }
        started.map(|()| device)
    }

    /// The state text of the device's only target; for `verity` it begins with
    /// `V` (all blocks read so far were right) or `C` (corruption was seen).
    ///
    /// # Errors
    /// When there is no such device.
    pub fn status(&self, name: &str) -> Result<String, Error> {
        let mut request = Request::named(name).ok_or(Error::Argument("name"))?;
        request.call::<{ raw::TABLE_STATUS }>(&self.control).map_err(Error::Status)?;
        request.status().map(|(_, text)| text).ok_or(Error::Status(Errno::NODATA))
    }

    /// Length in sectors and parameters of the device's only target, as they were loaded;
    /// the kernel tells devices by their numbers.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn table(&self, name: &str) -> Result<(u64, String), Error> {
        let mut request = Request::named(name).ok_or(Error::Argument("name"))?;
        request.ask_for_table();
        request.call::<{ raw::TABLE_STATUS }>(&self.control).map_err(Error::Status)?;
        request.status().ok_or(Error::Status(Errno::NODATA))
    }

    /// Puts another read-only table in the place of a running device's; who uses the
    /// device sees nothing of it.
    ///
    /// # Errors
    /// [`Error::Load`], [`Error::Resume`]; the device goes on with the table it has.
    pub fn reload_read_only(&self, name: &str, table: &Table<'_>) -> Result<(), Error> {
        let mut load = Request::named(name).ok_or(Error::Argument("name"))?;
        if !load.set_table(table.sectors, table.target, table.params) {
            return Err(Error::Argument("table"));
        }
        load.call::<{ raw::TABLE_LOAD }>(&self.control).map_err(Error::Load)?;
        // Resuming a device that runs exchanges the tables (do_resume() in drivers/md/dm-ioctl.c).
        let mut resume = Request::named(name).ok_or(Error::Argument("name"))?;
        resume.call::<{ raw::DEV_SUSPEND }>(&self.control).map_err(Error::Resume)
    }

    /// Removes a device once nobody uses it any more: at once, or when the last user closes it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove_when_unused(&self, name: &str) -> Result<(), Error> {
        let mut request = Request::named(name).ok_or(Error::Argument("name"))?;
        request.defer();
        request.call::<{ raw::DEV_REMOVE }>(&self.control).map_err(Error::Remove)
    }

    /// Removes a device.
    ///
    /// # Errors
    /// When it is in use or not there.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let mut request = Request::named(name).ok_or(Error::Argument("name"))?;
        request.call::<{ raw::DEV_REMOVE }>(&self.control).map_err(Error::Remove)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_do_not_fit_never_reach_the_kernel() {
        let mapper = Mapper::open_at(Path::new("/dev/null")).unwrap();
        let long = "x".repeat(128);
        let params = "p".repeat(MAX_PARAMS);
        let table = Table { sectors: 8, target: "verity", params: "1" };
        let make = |name: &str, uuid: &str, table: &Table<'_>| mapper.create_read_only(name, uuid, table);
        assert_eq!(make(&long, "u", &table), Err(Error::Argument("name")));
        assert_eq!(make("a\0b", "u", &table), Err(Error::Argument("name")));
        assert_eq!(make("a", &"x".repeat(129), &table), Err(Error::Argument("UUID")));
        assert_eq!(
            make("a", "u", &Table { params: &params, ..table.clone() }),
            Err(Error::Argument("table"))
        );
        assert_eq!(
            make("a", "u", &Table { target: "a-target-too-long", ..table.clone() }),
            Err(Error::Argument("table"))
        );
        assert_eq!(make("a", "u", &table), Err(Error::Create(Errno::NOTTY)));
        assert_eq!(mapper.status("a"), Err(Error::Status(Errno::NOTTY)));
        assert_eq!(mapper.table("a"), Err(Error::Status(Errno::NOTTY)));
        assert_eq!(mapper.reload_read_only("a", &table), Err(Error::Load(Errno::NOTTY)));
        let long = Table { params: &params, ..table };
        assert_eq!(mapper.reload_read_only("a", &long), Err(Error::Argument("table")));
    }

    #[test]
    fn a_missing_control_device_says_what_to_look_at() {
        let error = Mapper::open_at(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error, Error::Control(Errno::NOENT));
        assert!(error.to_string().contains("dm_mod"));
    }
}
