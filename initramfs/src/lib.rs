//! PID 1 of the sledos initramfs: from the kernel's hand-over to systemd.
//!
//! | Step | Module |
//! |---|---|
//! | all, in order | [`boot`] |
//! | kernel file systems | [`early`] |
//! | what the clock is worth | [`clock`] |
//! | command line | [`options`] |
//! | serial ports that get lines | [`console`] |
//! | drivers | [`modules`], [`uevent`] |
//! | cards, addresses, neighbours | [`net`] |
//! | which hardware this is | [`identity`], [`inventory`] |
//! | its document | [`fetch`], [`retry`], [`http`] |
//! | which disk has /usr | [`disks`], [`search`] |
//! | what lies on a disk | [`probe`] |
//! | getting /usr when no disk has it | [`slots`] |
//! | ROOT over two disks | [`raid`] |
//! | data disks | [`storage`] |
//! | the verified device | [`usr`] |
//! | root, /etc, /var as a plan | [`root`], [`action`] |
//! | directories that users own | [`beneath`] |
//! | machine id | [`machine_id`] |
//! | lines and report | [`log`], [`report`] |
//! | what the running system asks of it | [`sledctl`] |
//! | telling the servers | [`reporter`] |
//! | a reset when it hangs | [`watchdog`] |
//! | switching over, or giving up | [`handover`], [`failure`] |
//! | letting go of everything at the end of the run | [`shutdown`] |
//!
//! Assumed: the kernel unpacked the initramfs into a root file system in memory
//! and started this as PID 1. Given to the image's init: /dev, /proc, /sys and
//! /run mounted, the verified /usr, an /etc in layers, /var, a machine id, and
//! the report of this boot.
#![forbid(unsafe_code)]

pub mod action;
pub mod beneath;
pub mod boot;
pub mod clock;
pub mod console;
pub mod decide;
pub mod disks;
pub mod durable;
pub mod early;
pub mod failure;
pub mod fetch;
pub mod handover;
pub mod http;
pub mod identity;
pub mod inventory;
pub mod log;
pub mod machine_id;
pub mod modules;
pub mod net;
pub mod options;
pub mod power;
pub mod probe;
pub mod provision;
pub mod pulse;
pub mod raid;
pub mod report;
pub mod reporter;
pub mod retry;
pub mod root;
pub mod search;
pub mod shutdown;
pub mod site;
pub mod sledctl;
pub mod slots;
pub mod storage;
pub mod uevent;
pub mod usr;
pub mod watchdog;
