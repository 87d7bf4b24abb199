//! Machines with things on top of each other, some of which never let go.

use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Things in the order they were made: each is a mount or a device, and stands on an
/// earlier one. Some are in use for ever.
struct Stack {
    things: Vec<(Thing, Option<usize>)>,
    stuck: BTreeSet<usize>,
    here: RefCell<BTreeSet<usize>>,
    read_only: RefCell<BTreeSet<String>>,
    calls: RefCell<usize>,
}

#[derive(Clone, Debug)]
enum Thing {
    Mount(Mount),
    Device(Device),
}

impl World for Stack {
    fn look(&self) -> State {
        let mut state = State { disks: vec!["vda".into()], ..State::default() };
        for (at, (thing, _)) in self.things.iter().enumerate() {
            match thing {
                _ if !self.here.borrow().contains(&at) => {}
                Thing::Mount(mount) => {
                    let read_only = mount.read_only || self.read_only.borrow().contains(&mount.at);
                    state.mounts.push(Mount { read_only, ..mount.clone() });
                }
                Thing::Device(device) => state.devices.push(device.clone()),
            }
        }
        state
    }

    fn run(&self, action: &Action) -> io::Result<()> {
        *self.calls.borrow_mut() += 1;
        let is = |thing: &Thing| match (thing, action) {
            (Thing::Mount(mount), Action::Unmount { at, .. }) => mount.at == *at,
            (Thing::Device(one), Action::Release(other)) => one == other,
            _ => false,
        };
        match action {
            Action::ReadOnly(at) => {
                self.read_only.borrow_mut().insert(at.clone());
                return Ok(());
            }
            Action::Flush(_) => return Ok(()),
            Action::Unmount { .. } | Action::Release(_) => {}
        }
        let at = self.things.iter().position(|(thing, _)| is(thing)).unwrap();
        let used = self
            .things
            .iter()
            .enumerate()
            .any(|(other, (_, on))| *on == Some(at) && self.here.borrow().contains(&other));
        if used || self.stuck.contains(&at) {
            return Err(rustix::io::Errno::BUSY.into());
        }
        self.here.borrow_mut().remove(&at);
        Ok(())
    }
}

/// (kind, what it stands on, whether it is in use for ever) for each thing.
fn stack(things: &[(u8, usize, bool)]) -> Stack {
    let made: Vec<_> = things
        .iter()
        .enumerate()
        .map(|(n, (kind, on, _))| {
            let thing = match kind {
                0 => Thing::Device(Device::Mapping(format!("dm{n}"))),
                1 => Thing::Device(Device::Loop(format!("loop{n}"))),
                2 => Thing::Device(Device::Array(format!("md{n}"))),
                _ => Thing::Mount(Mount {
                    at: format!("{OLD_ROOT}/{n}"),
                    kind: "ext4".into(),
                    source: if *kind == 3 { "tmpfs".into() } else { "/dev/x".into() },
                    read_only: *kind == 4,
                }),
            };
            (thing, on.checked_rem(n))
        })
        .collect();
    Stack {
        stuck: things.iter().enumerate().filter(|(_, thing)| thing.2).map(|(n, _)| n).collect(),
        here: RefCell::new((0..made.len()).collect()),
        things: made,
        read_only: RefCell::default(),
        calls: RefCell::default(),
    }
}

proptest! {
    /// Devices are nested at most `ROUNDS` deep, mounts as deep as they like: whatever
    /// nothing stuck stands on is let go of, and what stays takes no more writes.
    #[test]
    fn all_is_let_go_of_but_what_is_stuck_and_below_it(
        things in prop::collection::vec((0_u8..8, any::<usize>(), prop::bool::weighted(0.15)), 0..9)
    ) {
        let world = stack(&things);
        let left = let_go(&world, &|_| ());
        let mut held = world.stuck.clone();
        // What stands on something comes after it.
        for (at, (_, on)) in world.things.iter().enumerate().rev() {
            if held.contains(&at) {
                held.extend(on);
            }
        }
        prop_assert_eq!(&*world.here.borrow(), &held);
        prop_assert_eq!(&left.devices, &world.look().devices);
        for mount in world.look().mounts {
            prop_assert!(mount.read_only || mount.source == "tmpfs", "{mount:?}");
        }
        prop_assert!(*world.calls.borrow() <= (ROUNDS + 1) * things.len() + 1);
    }
}

const MOUNTINFO: &str = "\
23 1 0:21 /initramfs / rw,nosuid,nodev - tmpfs tmpfs rw,size=600k
30 23 0:5 / /dev rw,nosuid - devtmpfs devtmpfs rw
40 23 0:20 / /oldroot rw - tmpfs tmpfs rw,mode=755
41 40 252:0 / /oldroot/usr ro,nodev - squashfs /dev/dm-0 ro
42 40 0:30 / /oldroot/etc rw - overlay etc rw,lowerdir=/a:/b
43 40 9:127 / /oldroot/var rw - ext4 /dev/md127 rw,errors=continue
44 43 8:17 / /oldroot/var/lib/data\\0401 rw shared:1 master:2 - xfs /dev/sdb1 rw
45 40 0:44 / /oldroot/mnt rw - nfs4 10.0.0.1:/x rw
46 23 0:20 / /oldrootless rw - tmpfs tmpfs rw
nonsense
";

#[test]
fn a_sled_is_taken_apart_from_the_top() {
    let devices = vec![Device::Mapping("usr".into()), Device::Array("md127".into())];
    let state = State { mounts: Mount::all(MOUNTINFO), devices, disks: vec!["sda".into()] };
    let lines: Vec<_> = plan(&state).iter().map(ToString::to_string).collect();
    let expected = [
        "unmount /oldroot/mnt",
        "unmount /oldroot/var/lib/data 1",
        "unmount /oldroot/var",
        "unmount /oldroot/etc",
        "unmount /oldroot/usr",
        "unmount /oldroot",
        "release the mapping usr",
        "release the array md127",
    ];
    assert_eq!(lines, expected);
    assert_eq!(plan(&state)[0], Action::Unmount { at: "/oldroot/mnt".into(), remote: true });
    let rest: Vec<_> = state.rest().iter().map(ToString::to_string).collect();
    assert_eq!(
        rest,
        ["remount /oldroot/var/lib/data 1 read-only", "remount /oldroot/var read-only", "flush sda"]
    );
}

#[test]
fn what_stays_is_said_with_its_reason_unless_it_is_memory() {
    // A disk's file system in use for ever, and memory in use for ever.
    let world = stack(&[(5, 0, true), (3, 0, true)]);
    let said = RefCell::new(Vec::new());
    let_go(&world, &|line| said.borrow_mut().push(line));
    let said = said.into_inner();
    assert!(said.iter().any(|line| line.starts_with("unmount /oldroot/0: ")), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("unmount /oldroot/1: ")), "{said:?}");
    assert!(said.contains(&"remount /oldroot/0 read-only".to_owned()), "{said:?}");
    assert_eq!(said.last().unwrap(), "let go of 0 of 2 mounts and 0 of 0 devices; caches are flushed");
}

#[test]
fn the_words_are_systemds() {
    let of = |word| Verb::of(Some(word)).command();
    assert_eq!(of("poweroff"), RebootCommand::PowerOff);
    assert_eq!(of("halt"), RebootCommand::Halt);
    assert_eq!(of("kexec"), RebootCommand::Kexec);
    assert_eq!((of("reboot"), Verb::of(None)), (RebootCommand::Restart, Verb::Reboot));
    assert_eq!(of("soft-reboot"), RebootCommand::Restart);
}
