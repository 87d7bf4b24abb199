//! Capabilities of files: the words of setcap(8) and the bytes of `security.capability`.

/// The attribute's name.
pub const XATTR: &[u8] = b"security.capability";

/// Revision 2 of `struct vfs_cap_data` (linux/capability.h), and the flag for "effective".
const REVISION_2: u32 = 0x0200_0000;
const EFFECTIVE: u32 = 1;

/// By number from 0 (linux/capability.h, Linux 5.9 and later).
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Capabilities of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    effective: bool,
    permitted: u64,
    inheritable: u64,
}

/// Why words are no capabilities of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not `NAMES=FLAGS`.
    #[error("`{0}` is not of the form NAMES=FLAGS, like cap_net_raw=ep")]
    Form(String),
    /// No such capability.
    #[error("there is no capability `{0}`")]
    Name(String),
    /// One bit stands for all of a file's effective capabilities.
    #[error("a file's capabilities are all effective (`e`) or none is")]
    Mixed,
}

impl Capabilities {
    /// Reads clauses of cap_from_text(3): names with commas between them or `all`, `=` or
    /// `+`, and `e`, `i`, `p`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let form = || Error::Form(text.to_owned());
        let (mut effective, mut permitted, mut inheritable) = (0_u64, 0_u64, 0_u64);
        for clause in text.split_ascii_whitespace() {
            let at = clause.find(['=', '+']).ok_or_else(form)?;
            let (names, flags) = clause.split_at(at);
            let flags = flags.get(1..).filter(|f| !f.is_empty() && f.chars().all(|c| "eip".contains(c)));
            let flags = flags.ok_or_else(form)?;
            let mut set = 0;
            for name in names.split(',') {
                set |= bits(name)?;
            }
            for (flag, all) in [('e', &mut effective), ('p', &mut permitted), ('i', &mut inheritable)] {
                *all |= if flags.contains(flag) { set } else { 0 };
            }
        }
        let any = permitted | inheritable;
        if any == 0 {
            return Err(form());
        }
        if effective != 0 && effective != any {
            return Err(Error::Mixed);
        }
        Ok(Self { effective: effective != 0, permitted, inheritable })
    }

    /// The attribute's value.
    pub fn to_xattr(self) -> Vec<u8> {
        let flag = if self.effective { EFFECTIVE } else { 0 };
        let mut out = (REVISION_2 | flag).to_le_bytes().to_vec();
        for shift in [0, 32] {
            for set in [self.permitted, self.inheritable] {
                out.extend((set >> shift).to_le_bytes().iter().take(4));
            }
        }
        out
    }
}

fn bits(name: &str) -> Result<u64, Error> {
    let lower = name.to_ascii_lowercase();
    if lower == "all" {
        return Ok((1 << NAMES.len()) - 1);
    }
    let known = lower.strip_prefix("cap_").and_then(|short| NAMES.iter().position(|known| *known == short));
    known.map(|number| 1 << number).ok_or_else(|| Error::Name(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// setcap writes the same bytes.
    #[test]
    fn the_bytes_are_those_of_setcap() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for text in [
            "cap_net_raw=ep",
            "cap_net_raw+ep",
            "cap_net_admin,cap_net_raw=eip",
            "cap_checkpoint_restore,cap_chown=p",
            "cap_wake_alarm=i",
            "cap_setuid=ep cap_setgid=ep",
            "CAP_SYSLOG=ep",
        ] {
            let status = Command::new("setcap").arg(text).arg(file.path()).status().expect("libcap2-bin");
            assert!(status.success(), "{text}");
            let mut value = [0; 64];
            let len = rustix::fs::getxattr(file.path(), "security.capability", &mut value).unwrap();
            assert_eq!(Capabilities::parse(text).unwrap().to_xattr(), value[..len], "{text}");
        }
    }

    #[test]
    fn what_a_file_cannot_have_is_refused() {
        for text in ["", "cap_net_raw", "cap_net_raw=", "cap_net_raw=x", "cap_net_raw=e", "=ep"] {
            assert!(Capabilities::parse(text).is_err(), "{text}");
        }
        assert_eq!(Capabilities::parse("cap_net_rwa=ep"), Err(Error::Name("cap_net_rwa".into())));
        assert_eq!(Capabilities::parse("net_raw=ep"), Err(Error::Name("net_raw".into())));
        assert_eq!(Capabilities::parse("cap_chown=ep cap_kill=p"), Err(Error::Mixed));
    }
}
