//! The root file system of the image: a tmpfs of links and mount points around
//! the verified /usr, a generated /etc, and /var from the disk. Pure: steps as values.

mod check;

pub use check::{Checked, check, check_here, last_used};

use crate::action::{Action, Step};
use crate::failure::Code;
use rustix::mount::MountFlags;

/// Where it is put together before the hand-over.
pub const AT: &str = "/sysroot";

/// Layers of /etc. The lowest is the image's; `GENERATED` is for what is made
/// for this sled at each boot; what is changed at run time is in memory only.
const ETC: &str = "/run/sledos/etc";
/// Files made for this sled, over the image's own.
pub const GENERATED: &str = "/run/sledos/etc/generated";

/// The image's own files of /etc, below [`AT`].
pub const IMAGE_ETC: &str = "/usr/share/sledos/etc";

/// The tmpfs with its links and mount points.
pub fn plan_root() -> Step {
    let mut actions = vec![Action::mkdir(AT)];
    actions.push(Action::mount("tmpfs", AT, "tmpfs", MountFlags::empty(), "mode=0755,size=25%"));
    for name in ["bin", "sbin", "lib", "lib64"] {
        actions.push(Action::Symlink { path: format!("{AT}/{name}"), target: format!("usr/{name}") });
    }
    for name in ["boot", "dev", "etc", "home", "mnt", "opt", "proc", "run", "srv", "sys", "usr", "var"] {
        actions.push(Action::mkdir(format!("{AT}/{name}")));
    }
    actions.push(Action::Mkdir { path: format!("{AT}/root"), mode: 0o700 });
    actions.push(Action::Mkdir { path: format!("{AT}/tmp"), mode: 0o1777 });
    Step { name: "root", code: Code::Root, says: String::new(), actions }
}

/// /usr from its verified device; `from` is for people.
pub fn plan_usr(device: &str, from: &str) -> Step {
    let flags = MountFlags::RDONLY | MountFlags::NODEV;
    let actions = vec![
        Action::mkdir("/dev/mapper"),
        Action::Symlink { path: "/dev/mapper/usr".into(), target: device.replace("/dev/", "../") },
        Action::mount(device, &format!("{AT}/usr"), "squashfs", flags, ""),
    ];
    Step { name: "usr", code: Code::UsrMount, says: format!("{from}, verified through {device}"), actions }
}

/// /etc.
pub fn plan_etc() -> Step {
    let mut actions: Vec<_> =
        ["", "/generated", "/upper", "/work"].iter().map(|d| Action::mkdir(format!("{ETC}{d}"))).collect();
    let layers = format!("lowerdir={GENERATED}:{AT}{IMAGE_ETC},upperdir={ETC}/upper,workdir={ETC}/work");
    actions.push(Action::mount("etc", &format!("{AT}/etc"), "overlay", MountFlags::empty(), &layers));
    Step { name: "etc", code: Code::Etc, says: String::new(), actions }
}

/// /var: the device of ROOT, or memory for the reason given.
pub fn plan_var(device: Result<&str, &str>) -> Step {
    let at = format!("{AT}/var");
    let (action, says) = match device {
        Ok(device) => {
            // Setuid and device files stay usable: container images need them. What is damaged is
            // not written to any more, and checked at the next boot.
            let options = "errors=remount-ro";
            (
                Action::mount(device, &at, "ext4", MountFlags::empty(), options),
                format!("mounted from {device}"),
            )
        }
        Err(why) => (
            Action::mount("tmpfs", &at, "tmpfs", MountFlags::empty(), "mode=0755,size=50%"),
            format!("in memory, lost at the next boot: {why}"),
        ),
    };
    Step { name: "var", code: Code::Var, says, actions: vec![action] }
}

/// Where OEM is mounted.
pub const OEM: &str = "/run/sledos/oem";

/// The OEM partition, read-only, for site configuration.
pub fn plan_oem(device: &str) -> Step {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let actions = vec![Action::mkdir(OEM), Action::mount(device, OEM, "ext4", flags, "")];
    Step { name: "oem", code: Code::Root, says: format!("mounted from {device}"), actions }
}

/// The kernel file systems go along.
pub fn plan_moves() -> Step {
    let moves = ["/dev", "/proc", "/sys", "/run"].map(|from| {
        let to = format!("{AT}{from}");
        Action::Move { from: from.to_owned(), to }
    });
    Step { name: "hand-over", code: Code::HandOver, says: String::new(), actions: moves.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_file_system_is_this() {
        let steps = [
            plan_root(),
            plan_usr("/dev/dm-0", "USR-A on vda"),
            plan_etc(),
            plan_var(Ok("/dev/vda9")),
            plan_var(Err("no ROOT")),
            plan_oem("/dev/vda6"),
            plan_moves(),
        ];
        let text: String = steps.iter().map(ToString::to_string).collect();
        assert_eq!(text, include_str!("root/plan.txt"), "\n{text}");
    }
}
