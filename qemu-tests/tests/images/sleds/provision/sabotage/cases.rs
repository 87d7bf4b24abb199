//! The table: docs/sabotage.md is made of it, and so are the tests.

use super::{Case, Seen, clock, disk, image, machine, network, server};
use std::fmt::Write as _;
use std::path::Path;

/// Each row names the function that shows it.
macro_rules! suite {
    ($($module:ident::$test:ident { $fault:literal, $sentence:literal, $outcome:literal })*) => {
        const CASES: &[Case] = &[$(Case {
            test: stringify!($test),
            fault: $fault,
            sentence: $sentence,
            outcome: $outcome,
        }),*];
        $(
            #[test]
            fn $test() {
                let case = CASES.iter().find(|case| case.test == stringify!($test)).expect("it is in the table");
                let _: Seen = $module::$test(case);
            }
        )*
    };
}

suite! {
    server::body_that_drips {
        "The body of a document comes a byte every two seconds",
        "metadata: http://…/v1/mac/52-54-00-00-07-01.json: only … bytes in …s",
        "given up after 30 s at less than 1 KiB/s; asks again"
    }
    server::errors_500 {
        "The server answers 500",
        "metadata: http://…: the server answers 500",
        "asks again, at random times that grow to a minute"
    }
    server::retry_after_an_hour {
        "The server wants to be left alone for an hour",
        "metadata: http://…: the server answers 503, asks to come back in 3600 s",
        "it is, whatever the network does; the next server is asked at once"
    }
    server::document_of_100_mb {
        "A document of 100 MB",
        "metadata: http://…/v1/mac/52-54-00-00-07-01.json: longer than 4194304 bytes",
        "not read; asks again"
    }
    server::fields_10000 {
        "A signed document with 10 000 fields nobody knows",
        "metadata: r1-b07 generation 1 from … by mac 52:54:00:00:07:01, signed by …",
        "they are skipped"
    }
    image::flipped_byte {
        "A byte of the image is another",
        "usr.squashfs: block 0 does not match the root hash; asks again from byte 0",
        "the block is never used; it is asked for again, from another server if there is one"
    }
    image::wrong_root_hash {
        "The document names another root hash than the kernel that was started",
        "SLED-106 the document asks for another image than the one that was started: it asks for compute …, the kernel that was started is of …",
        "reboots after `sledos.onfail-delay=`"
    }
    image::hash_tree_of_another_image {
        "The hash tree on the server belongs to another image",
        "usr.verity: block … of the verity tree does not lead to the root hash; asks again from byte 0",
        "nothing of the image is fetched until the tree is right"
    }
    image::image_of_another_size {
        "The image on the server is shorter than the document says",
        "usr.squashfs: it ends too early; asks again from byte 1048576",
        "keeps what is right and asks for the rest, until somebody has it"
    }
    disk::disk_full {
        "ROOT is full",
        "metadata: warning: the document is not stored on /var (No space left on device (os error 28))",
        "comes up with the document of the server"
    }
    disk::read_only_disk {
        "The disk the sled boots from takes no writes",
        "SLED-203 the ROOT partition does not mount as /var: …",
        "reboots; nothing was changed; `sledos.var=tmpfs` brings it up"
    }
    disk::read_only_install {
        "The disk the image is to be installed on takes no writes",
        "SLED-122 a disk does not take the image: vda is not written to: Operation not permitted (os error 1)",
        "reboots; no other disk is taken instead"
    }
    clock::clock_in_1970 {
        "The RTC says 1970",
        "clock: the RTC says 1970-01-01T…Z, which is before the image was made; set to …Z",
        "goes on; a document that was signed later than the image is believed, and that nobody knows whether it has expired is said"
    }
    clock::clock_in_2099 {
        "The RTC says 2099",
        "metadata: http://… is refused: expired: at …Z, now 2099-01-01T…Z",
        "keeps asking; an installed sled comes up with the document it stored. A clock that is ahead is not told from a server that plays old documents back: set the RTC"
    }
    network::two_dhcp_servers {
        "Two DHCP servers offer different networks",
        "network: …: 10.99.0.1 offers 10.99.0.50, 10.77.0.1 offered 10.77.0.…: more than one DHCP server answers here",
        "takes the first offer"
    }
    network::dhcp_nak {
        "The DHCP server refuses the address it offered",
        "network: …: 10.77.0.1 refused the address: not today",
        "asks around again, at once the first time"
    }
    network::lease_that_ends {
        "The lease ends during the boot and the server does not renew it",
        "network: …: the lease of 10.77.0.150 ended and was not renewed",
        "the address is removed; asks around again"
    }
    network::loss_and_delay {
        "1 % of all packets are lost, the rest comes 15 ms late",
        "usr.squashfs: … of … MiB (… %), … MiB/s",
        "slower"
    }
    network::first_nic_without_carrier {
        "The first NIC has no carrier",
        "network: …52:54:00:00:07:01: no carrier",
        "the others are used at the same time"
    }
    network::link_after_60_s {
        "The links come after 60 s",
        "network: …52:54:00:00:07:01: no carrier",
        "says so every 30 s; goes on when one comes (an installed sled goes on alone after 60 s)"
    }
    network::mtu_9000_on_1500 {
        "DHCP asks for an MTU of 9000, and the path carries 1500",
        "network: …: boots with an MTU of 1500, not the 9000 of the lease",
        "what the path does not carry is not sent; the image's own MTU is the document's"
    }
    network::duplicate_address {
        "Somebody has the address that DHCP offers",
        "network: …: 10.77.0.150 is in use by …: declined",
        "not used; asks for another one after 10 s"
    }
    network::dns_dead {
        "No name server answers",
        "metadata: http://prov.rack.test:…/v1/mac/52-54-00-00-07-0….json: name prov.rack.test does not resolve: name server 10.77.0.1: …",
        "asks again until one does; a server that is known by address is asked meanwhile"
    }
    disk::stale_document {
        "All servers are dead, and the stored document has expired",
        "metadata: r1-b07 generation 1 from /var, stored earlier: no server answered for 3 s; it expired at …Z",
        "comes up with it"
    }
    machine::two_sleds_with_one_uuid {
        "Two sleds have the same UUID, and the fleet knows it of one",
        "metadata: http://…/v1/uuid/….json is refused: another sled's document: it is for r1-b07 and lists nothing of this sled but uuid …",
        "the other one is found by its next key"
    }
    machine::power_button {
        "The power button is pressed in the middle",
        "power button: switches off",
        "off; a slot that is not whole is never booted"
    }
    machine::watchdog_expiry {
        "The kernel hangs",
        "watchdog: i6300ESB timer, resets after 60 s without food",
        "the watchdog resets the sled"
    }
}

#[test]
fn the_table_is_what_is_tested() {
    let mut text = String::from(
        "# Sabotage\n\n\
         What a sled says and does when something around it is wrong. Each row is a test of the same name that boots\n\
         a machine (`cargo test --release -p sledos-qemu-tests --test images sabotage`); `…` stands for what differs\n\
         from sled to sled. Made from `qemu-tests/tests/images/sleds/provision/sabotage/cases.rs`.\n\n\
         | What is wrong | What the console says | What becomes of the sled | Test |\n|---|---|---|---|\n",
    );
    for Case { test, fault, sentence, outcome } in CASES {
        let _ = writeln!(text, "| {fault} | `{sentence}` | {outcome} | `{test}` |");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sabotage.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &text).expect("docs/ can be written");
    }
    let there = std::fs::read_to_string(&file).expect("docs/sabotage.md is there");
    assert!(there == text, "docs/sabotage.md is not what is tested; UPDATE_DOCS=1 cargo test writes it");
}
