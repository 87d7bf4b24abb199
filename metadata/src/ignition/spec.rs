//! The fields of Ignition configs 3.0 to 3.4, since which minor version each is there,
//! and which of them sledos carries out. Source: Ignition, "Configuration specifications
//! v3.0.0" to "v3.4.0".

/// The newest minor version.
pub(super) const NEWEST: u8 = 4;

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Number,
    Boolean,
    Object(&'static [Field]),
    /// A list, and what tells its entries apart when configs are merged.
    List(&'static Kind, Identity),
    /// Not carried out. What stands here instead says what to do.
    Unsupported(&'static str),
}

/// What tells the entries of a list apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing: the lists add up.
    Nothing,
    /// The entry itself.
    Itself,
    /// Its field of this name.
    Field(&'static str),
    /// Its path, which files, directories and links share.
    Path,
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    /// Minor version that brought it.
    pub(super) since: u8,
    pub(super) kind: Kind,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, since: 0, kind }
}

const fn since(since: u8, name: &'static str, kind: Kind) -> Field {
    Field { name, since, kind }
}

use Kind::{Boolean, List, Number, Object, Text, Unsupported};

const HEADERS: Kind = List(&Object(&[field("name", Text), field("value", Text)]), Identity::Field("name"));
const VERIFICATION: Kind = Object(&[field("hash", Text)]);

/// Contents of a file.
const RESOURCE: &[Field] = &[
    field("source", Text),
    field("compression", Text),
    since(1, "httpHeaders", HEADERS),
    field("verification", VERIFICATION),
];
/// A config.
const REFERENCE: &[Field] = &[
    field("source", Text),
    since(1, "compression", Text),
    since(1, "httpHeaders", HEADERS),
    field("verification", VERIFICATION),
];
const OWNER: Kind = Object(&[field("id", Number), field("name", Text)]);

const DISKS: &str = "disks are partitioned and formatted by the fleet file: `install`";
const FETCHING: &str = "configs and files are fetched when the fleet is compiled, with what its host knows";

const FILE: Kind = Object(&[
    field("path", Text),
    field("overwrite", Boolean),
    field("contents", Object(RESOURCE)),
    field("append", List(&Object(RESOURCE), Identity::Nothing)),
    field("mode", Number),
    field("user", OWNER),
    field("group", OWNER),
]);
const DIRECTORY: Kind = Object(&[
    field("path", Text),
    field("overwrite", Boolean),
    field("mode", Number),
    field("user", OWNER),
    field("group", OWNER),
]);
const LINK: Kind = Object(&[
    field("path", Text),
    field("overwrite", Boolean),
    field("target", Text),
    field("hard", Boolean),
    field("user", OWNER),
    field("group", OWNER),
]);
const UNIT: Kind = Object(&[
    field("name", Text),
    field("enabled", Boolean),
    field("mask", Boolean),
    field("contents", Text),
    field("dropins", List(&Object(&[field("name", Text), field("contents", Text)]), Identity::Field("name"))),
]);
const USER: Kind = Object(&[
    field("name", Text),
    field("passwordHash", Text),
    field("sshAuthorizedKeys", List(&Text, Identity::Itself)),
    field("uid", Number),
    field("gecos", Text),
    field("homeDir", Text),
    field("noCreateHome", Boolean),
    field("primaryGroup", Text),
    field("groups", List(&Text, Identity::Itself)),
    field("noUserGroup", Boolean),
    field("noLogInit", Boolean),
    field("shell", Text),
    since(2, "shouldExist", Boolean),
    field("system", Boolean),
]);
const GROUP: Kind = Object(&[
    field("name", Text),
    field("gid", Number),
    field("passwordHash", Text),
    since(2, "shouldExist", Boolean),
    field("system", Boolean),
]);

/// A whole config.
pub(super) const CONFIG: Kind = Object(&[
    field(
        "ignition",
        Object(&[
            field("version", Text),
            field(
                "config",
                Object(&[
                    field("merge", List(&Object(REFERENCE), Identity::Field("source"))),
                    field("replace", Object(REFERENCE)),
                ]),
            ),
            // How long Ignition itself would wait. Nothing of it is left on the sled.
            field("timeouts", Object(&[field("httpResponseHeaders", Number), field("httpTotal", Number)])),
            field("security", Unsupported(FETCHING)),
            since(1, "proxy", Unsupported(FETCHING)),
        ]),
    ),
    field(
        "storage",
        Object(&[
            field("disks", Unsupported(DISKS)),
            field("raid", Unsupported(DISKS)),
            field("filesystems", Unsupported(DISKS)),
            since(2, "luks", Unsupported("sledos has no encrypted disks")),
            field("files", List(&FILE, Identity::Path)),
            field("directories", List(&DIRECTORY, Identity::Path)),
            field("links", List(&LINK, Identity::Path)),
        ]),
    ),
    field("systemd", Object(&[field("units", List(&UNIT, Identity::Field("name")))])),
    field(
        "passwd",
        Object(&[
            field("users", List(&USER, Identity::Field("name"))),
            field("groups", List(&GROUP, Identity::Field("name"))),
        ]),
    ),
    since(
        3,
        "kernelArguments",
        Unsupported("the command line is part of the image: its recipe has `kernel.cmdline`"),
    ),
]);
