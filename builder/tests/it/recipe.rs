//! Recipes: every mistake is shown at its place, files lay over each other as
//! documented, and the documentation's examples are true.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use sledos::recipe::{Host, Recipe, load_from};
use yaml::diagnostic::Diagnostics;

/// A file system of these recipe files, in which every overlay and keyring exists but
/// those called `missing`.
struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Files {
    fn new<T: AsRef<[u8]>>(files: &[(&str, T)]) -> Self {
        Self(files.iter().map(|(name, text)| (name.into(), text.as_ref().to_vec())).collect())
    }

    fn load(&self) -> Result<Recipe, Diagnostics> {
        load_from(Path::new("r/main.yaml"), self)
    }
}

impl Host for Files {
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        self.0.get(file).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn identity(&self, file: &Path) -> PathBuf {
        file.to_owned()
    }
    fn is_dir(&self, path: &Path) -> bool {
        !path.ends_with("missing")
    }
    fn is_file(&self, path: &Path) -> bool {
        !path.ends_with("missing")
    }
}

fn load(main: &str) -> Result<Recipe, Diagnostics> {
    Files::new(&[("r/main.yaml", main)]).load()
}

/// `line:column message` of each mistake, and everything said about it.
fn mistakes(result: Result<Recipe, Diagnostics>) -> (Vec<String>, String) {
    let found = result.expect_err("a mistake should be found");
    let one = |d: &yaml::diagnostic::Diagnostic| {
        let place = d.place.as_ref().expect("every mistake here has a place");
        let file = place.file().file_name().unwrap().to_string_lossy().into_owned();
        let file = if file == "main.yaml" { String::new() } else { format!("{file}:") };
        format!("{file}{}:{} {}", place.line, place.column, d.message)
    };
    (found.0.iter().map(one).collect(), found.to_string())
}

/// A recipe without mistakes; what is tried begins on line 3.
const GOOD: &str = "name: test\ndebian: {suite: bookworm}\n";

/// YAML after [`GOOD`], the one mistake, and what else must be said about it.
const MISTAKES: &[(&str, &str, &str)] = &[
    // Keys.
    ("pakages: [docker.io]", "3:1 unknown key `pakages`", "did you mean `packages`?"),
    ("zzz: 1", "3:1 unknown key `zzz`", "known keys: name, description, debian"),
    ("kernel: {cmdlien: [quiet]}", "3:10 unknown key `cmdlien` in `kernel`", "did you mean `cmdline`?"),
    ("packages: [a1]\npackages: [b1]", "4:1 the key `packages` is here twice", "r/main.yaml:3:1: first here"),
    ("<<: {a: 1}", "3:1 unknown key `<<`", "use `include:`"),
    ("remove-packages: docker.io", "3:1 unknown key `remove-packages`", "takes a list"),
    ("remove-packages: [docker.io]", "3:19 there is no `docker.io` to remove", "none of them listed this"),
    // Types.
    ("packages:", "3:9 `packages` has no value", "`[]` is an empty list"),
    (
        "packages: docker.io",
        "3:11 `packages` should be a list, this is a single value",
        "write `packages: [docker.io]`",
    ),
    ("packages: {docker.io: 1}", "3:11 `packages` should be a list, this is a map", "write `- …` lines"),
    ("packages: [[docker.io]]", "3:12 `packages` should be a single value, this is a list", ""),
    ("layout: [1MiB]", "3:9 `layout` should be a map, this is a list", "`key: value`"),
    ("provided: {initramfs-tools: }", "3:27 `provided.initramfs-tools` has no value", ""),
    (
        "compression: {usr-level: high}",
        "3:26 `compression.usr-level` should be a number, this is `high`",
        "1 to 22",
    ),
    (
        "compression: {usr-level: '15'}",
        "3:26 `compression.usr-level` should be a number, this is text",
        "remove the quotes",
    ),
    ("compression: {usr-level: 015}", "3:26 `015` is not a plain decimal number", "write `15`"),
    (
        "nics: [{name: a, driver: d, pci: ['1:1'], initramfs: yes}]",
        "3:35 `1:1` is not a PCI id",
        "true or false",
    ),
    // Sizes.
    ("layout: {usr: 512}", "3:15 `512` is not a multiple of 1 MiB", "write `1MiB`"),
    ("layout: {usr: 512MB}", "3:15 `512MB` is not a size", "powers of 1000 or of 1024"),
    ("layout: {usr: 1.5GiB}", "3:15 `1.5GiB` is not a size", "1536MiB"),
    ("layout: {usr: MiB}", "3:15 `MiB` is not a size", "like `512MiB`"),
    ("layout: {usr: -1MiB}", "3:15 `-1MiB` is not a size", "like `512MiB`"),
    ("layout: {usr: 0}", "3:15 a size of nothing", "default"),
    ("layout: {usr: 99999999999999999999}", "3:15 `99999999999999999999` is too large", "16TiB"),
    ("layout: {usr: 17TiB}", "3:15 `17TiB` is too large", "16TiB"),
    ("layout: {usr: 18446744073709551615TiB}", "3:15 `18446744073709551615TiB` is too large", "16TiB"),
    ("layout: {oem: 1025KiB}", "3:15 `1025KiB` is not a multiple of 1 MiB", "write `2MiB`"),
    (
        "layout: {usr: 4GiB}",
        "3:15 the hash tree of a 4096 MiB /usr does not fit into `layout.verity`",
        "write `verity: 33MiB`",
    ),
    (
        "layout: {verity: 1MiB}",
        "3:18 the hash tree of a 512 MiB /usr does not fit into `layout.verity`",
        "verity: 5MiB",
    ),
    ("budgets: {usr: 1GiB}", "3:16 the budget of `usr` is larger than its partition", "512 MiB"),
    ("budgets: {uki: 1GiB}", "3:16 the budget of `uki` is larger than its partition", "128 MiB"),
    // Compression.
    ("compression: {usr-level: 23}", "3:26 `compression.usr-level` is 23, it must be 1 to 22", ""),
    ("compression: {initramfs-level: 0}", "3:32 `compression.initramfs-level` is 0, it must be 1 to 22", ""),
    ("compression: {block-size: 100KiB}", "3:27 `100KiB` is not a block size", "a power of two"),
    ("compression: {block-size: 2MiB}", "3:27 `2MiB` is not a block size", "to 1MiB"),
    // Packages.
    ("packages: [Docker.io]", "3:12 `Docker.io` is not a package name", "`docker.io`"),
    ("packages: ['docker.io=20.10']", "3:12 `docker.io=20.10` is not a package name", "lock file"),
    ("packages: ['libc6:amd64']", "3:12 `libc6:amd64` is not a package name", "debian.arch"),
    ("packages: [a]", "3:12 `a` is not a package name", "at least two characters"),
    ("packages: [bash, curl, bash]", "3:24 `bash` is in this list twice", "first here"),
    (
        "packages: [dash]\nprovided: {dash: why}",
        "3:12 `dash` is asked for in `packages` and left out by `provided`",
        ":4:12: and here",
    ),
    // Extensions.
    ("extensions: {debug: {packages: []}}", "3:21 an extension without packages", "remove the extension"),
    ("extensions: {debug: {description: x}}", "3:21 `extensions.debug` has no `packages`", ""),
    (
        "extensions: {Debug: {packages: [jq]}}",
        "3:14 `Debug` is not the name of an extension",
        "a letter first",
    ),
    ("extensions: {debug: {packages: [jq/sid]}}", "3:33 there is no suite or repository `sid`", "bookworm"),
    (
        "extensions: {debug: {packages: [perl]}}\nprovided: {perl: why}",
        "3:33 `perl` is asked for by an extension and left out by `provided`",
        ":4:12: and here",
    ),
    ("provided: {initramfs-tools: ''}", "3:29 this text is empty", ""),
    // Kernel.
    (
        "kernel: {cmdline: [quiet, usrhash=ab]}",
        "3:27 `usrhash=ab` cannot be on the kernel command line",
        "veritysetup-generator",
    ),
    ("kernel: {cmdline: [roothash=ab]}", "3:20 `roothash=ab` cannot be on the kernel command line", "90 s"),
    (
        "kernel: {cmdline: [sledos.usrhash=ab]}",
        "3:20 `sledos.usrhash=ab` cannot be on the kernel command line",
        "the build adds it",
    ),
    (
        "kernel: {cmdline: [quiet splash]}",
        "3:20 `quiet splash` cannot be on the kernel command line",
        "several entries",
    ),
    ("kernel: {cmdline: [\"a\\nb\"]}", "3:20 `a\nb` cannot be on the kernel command line", "printable ASCII"),
    ("kernel: {initramfs: [ixgbe.ko]}", "3:22 `ixgbe.ko` is not a module name", "write `ixgbe`"),
    ("kernel: {load: [a/b]}", "3:17 `a/b` is not a module name", ""),
    (
        "kernel: {drop: [/kernel/sound]}",
        "3:17 the path `/kernel/sound` is absolute",
        "leave out the leading `/`",
    ),
    ("kernel: {drop: [kernel/*]}", "3:17 `kernel/*` is not a directory", ""),
    ("kernel: {drop-firmware: ['a[']}", "3:26 the pattern `a[` has a `[` without its `]`", ""),
    // NICs.
    ("nics: [{name: a, driver: d}]", "3:8 `a` has no `pci`", "add `pci: …`"),
    ("nics: [{driver: d, pci: ['8086:10fb']}]", "3:8 `nics` has no `name`", ""),
    ("nics: [{name: a, driver: d, pci: []}]", "3:34 `a` lists no PCI ids", ""),
    ("nics: [{name: a, driver: d, pci: ['8086:10fg']}]", "3:35 `8086:10fg` is not a PCI id", "lspci -nn"),
    (
        "nics: [{name: a, driver: d, pci: ['8086:10f']}]",
        "3:35 `8086:10f` is not a PCI id",
        "four hexadecimal digits",
    ),
    ("nics: [{name: a, driver: d, pci: ['+086:10fb']}]", "3:35 `+086:10fb` is not a PCI id", ""),
    (
        "nics: [{name: a, driver: d, pci: ['8086:10fb', '8086:10FB']}]",
        "3:48 the PCI id 8086:10fb is listed twice",
        "first here, for `a`",
    ),
    // Paths and patterns.
    (
        "exclude: [/usr/share/doc/**]",
        "3:11 the pattern `/usr/share/doc/**` is absolute",
        "leave out the leading `/`",
    ),
    (
        "exclude: [usr/../etc/**]",
        "3:11 the pattern `usr/../etc/**` has a `..` in it",
        "lead out of the image",
    ),
    ("exclude: [usr/share/doc/]", "3:11 the pattern `usr/share/doc/` ends in `/`", "`dir/**`"),
    (
        "keep: ['usr/share/**.gz']",
        "3:8 the pattern `usr/share/**.gz` has `**` beside other characters",
        "`**/*.txt`",
    ),
    ("exclude: [*.gz]", "3:11 not valid YAML: while parsing node, found unknown anchor", "in quotes"),
    (
        "alternatives: {/usr/sbin/iptables: iptables-nft}",
        "3:16 the path `/usr/sbin/iptables` is absolute",
        "",
    ),
    ("alternatives: {usr/../iptables: iptables-nft}", "3:16 the path `usr/../iptables` has a `..` in it", ""),
    (
        "alternatives: {usr//iptables: iptables-nft}",
        "3:16 the path `usr//iptables` has an empty component or a `.` in it",
        "",
    ),
    // Overlays.
    ("overlays: [{name: missing}]", "3:19 there is no directory overlays/missing", "beside the directory"),
    ("overlays: [{name: ../base}]", "3:19 `../base` is not a name", ""),
    (
        "overlays: [{name: base, attributes: {etc/x: {mode: 0644}}}]",
        "3:52 `0644` is not a mode",
        "put it in quotes: \"0644\"",
    ),
    (
        "overlays: [{name: base, attributes: {etc/x: {mode: '0888'}}}]",
        "3:52 `0888` is not a mode",
        "octal digits",
    ),
    (
        "overlays: [{name: base, attributes: {etc/x: {mode: u=rw}}}]",
        "3:52 `u=rw` is not a mode",
        "octal digits",
    ),
    (
        "overlays: [{name: base, attributes: {/etc/x: {user: root}}}]",
        "3:38 the pattern `/etc/x` is absolute",
        "",
    ),
    (
        "overlays: [{name: base, attributes: {etc/x: {}}}]",
        "3:45 these attributes set nothing",
        "`mode`, `user`, `group` or `capabilities`",
    ),
    // Users and groups.
    ("users: [{name: Root, uid: 5}]", "3:16 `Root` is not a user or group name", ""),
    ("users: [{name: a, uid: 0}]", "3:24 `users.uid` is 0, it must be 1 to 65533", ""),
    ("users: [{name: a, uid: 5, home: home}]", "3:33 `home` is not an absolute path", ""),
    ("users: [{name: a, uid: 5, gecos: 'a:b'}]", "3:34 \"a:b\" cannot be a field of /etc/passwd", ""),
    (
        "users: [{name: a, uid: 5}, {name: b, uid: 5, group: g}]",
        "3:28 `b` and `a` have the same uid 5",
        "first here",
    ),
    (
        "users: [{name: a, uid: 5}]\ngroups: [{name: b, gid: 5}]",
        "4:10 the groups `b` and `a` have the same gid 5",
        "",
    ),
    (
        "users: [{name: a, uid: 5}]\ngroups: [{name: a, gid: 6}]",
        "4:10 there are two groups `a`: a user without `group` makes one",
        "",
    ),
    // Units.
    ("enable: {ssh: [multi-user.target]}", "3:10 `ssh` is not a unit name", "`ssh.service`"),
    (
        "enable: {ssh.servce: [multi-user.target]}",
        "3:10 `ssh.servce` is not a unit name",
        "did you mean `ssh.service`?",
    ),
    (
        "enable: {getty@.service: [getty.target]}",
        "3:10 `getty@.service` is not a unit name",
        "name the instance",
    ),
    (
        "enable: {ssh.service: multi-user.target}",
        "3:23 `enable.ssh.service` should be a list, this is a single value",
        "",
    ),
    ("mask: [a/b.service]", "3:8 `a/b.service` is not a unit name", ""),
    (
        "enable: {a.service: [b.target]}\nmask: [a.service]",
        "4:8 `a.service` is both masked and enabled",
        ":3:10: and here",
    ),
    // Repositories and components.
    (
        "repositories: [{name: a, url: 'https://a', suite: ./, components: [main], keyring: k}]",
        "3:67 components of a flat repository",
        "remove the line",
    ),
    (
        "repositories: [{name: a, url: 'https://a', suite: ../x/, components: [], keyring: k}]",
        "3:51 `../x/` is no directory of a flat repository",
        "like `./`",
    ),
    (
        "packages: [podman/bookworm-backports]",
        "3:12 there is no suite or repository `bookworm-backports`",
        "there is: ",
    ),
    ("packages: [podman/../x]", "3:12 `../x` is not a suite or component", ""),
    (
        "repositories: [{name: debian, url: 'https://a', suite: s, components: [main], keyring: k}]",
        "3:23 a repository cannot be called `debian`",
        "",
    ),
    (
        "repositories: [{name: a, url: ftp://a, suite: s, components: [main], keyring: k}]",
        "3:31 `ftp://a` is not a URL",
        "https://",
    ),
    (
        "repositories: [{name: a, url: 'https://a', suite: s, components: [main], keyring: missing}]",
        "3:83 there is no file r/missing",
        "relative to the file",
    ),
    ("components: {x: {description: d, provides: /usr/x}}", "3:44 the path `/usr/x` is absolute", ""),
    (
        "components: {x: {description: d, provides: usr/x, source: {location: 'https://a/x'}}}",
        "3:59 a URL without its `sha256`",
        "sha256sum FILE",
    ),
    (
        "components: {x: {description: d, provides: usr/x, source: {location: x.deb, sha256: abc}}}",
        "3:85 this is not a sha256",
        "this has 3 characters",
    ),
    // Includes.
    (
        "include: [nowhere.yaml]",
        "3:11 cannot read the recipe r/nowhere.yaml: entity not found",
        "relative to the file that includes them",
    ),
    (
        "include: nowhere.yaml",
        "3:10 `include` should be a list, this is a single value",
        "write `include: [nowhere.yaml]`",
    ),
    ("include: [main.yaml]", "3:11 `main.yaml` includes itself", "r/main.yaml → r/main.yaml"),
    // YAML.
    (
        "\tmask: []",
        "3:2 not valid YAML: while parsing a block mapping, did not find expected key",
        "never with tabs",
    ),
    ("packages: !set [a1]", "3:16 the YAML tag `!set` is not supported", ""),
];

#[test]
fn every_mistake_is_shown_at_its_place() {
    load(GOOD).expect("the recipe the mistakes are made in is good");
    let mut wrong = Vec::new();
    for (yaml, want, says) in MISTAKES {
        let (found, text) = mistakes(load(&format!("{GOOD}{yaml}\n")));
        if !found.iter().any(|f| f == want) || !text.contains(says) {
            wrong.push(format!("{yaml}\n  wanted {want} … {says}\n  found  {found:?}\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn one_mistake_makes_one_report() {
    for (yaml, want, _) in MISTAKES.iter().filter(|(yaml, ..)| !yaml.contains("'1:1'")) {
        let (found, _) = mistakes(load(&format!("{GOOD}{yaml}\n")));
        assert_eq!(found.len(), 1, "{yaml}: {want}: {found:?}");
    }
}

#[test]
fn mistakes_of_several_files_are_shown_at_once() {
    let (found, text) = mistakes(
        Files::new(&[
            (
                "r/main.yaml",
                "include: [base.yaml, other.yaml]\nname: X\ndebian: {suite: bookworm}\nnisc: []\n",
            ),
            ("r/base.yaml", "packages: [A, B]\n"),
            ("r/other.yaml", "layout: {usr: big}\n"),
        ])
        .load(),
    );
    let want = [
        "base.yaml:1:12 `A` is not a package name",
        "base.yaml:1:15 `B` is not a package name",
        "2:7 `X` is not an image name",
        "4:1 unknown key `nisc`",
        "other.yaml:1:15 `big` is not a size",
    ];
    assert_eq!(found, want);
    assert!(text.ends_with("5 mistakes"), "{text}");
    let shown = "\
`X` is not an image name
 --> r/main.yaml:2:7
  |
2 | name: X
  |       ^
  = why: it becomes part";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn what_a_recipe_must_have() {
    assert_eq!(mistakes(load("debian: {suite: bookworm}\n")).0, ["1:1 this recipe has no `name`"]);
    assert_eq!(mistakes(load("name: a\n")).0, ["1:1 the file has no `debian`"]);
    assert_eq!(mistakes(load("name: a\ndebian: {}\n")).0, ["2:9 `debian` has no `suite`"]);
    assert_eq!(mistakes(load("")).0, ["1:1 the file has no `debian`", "1:1 this recipe has no `name`"]);
    assert_eq!(mistakes(load("[a]\n")).0, ["1:1 a recipe is a map of keys, this is a list"]);
    let bytes = Files::new(&[("r/main.yaml", &b"name: a\nx: \xff\n"[..])]).load();
    assert_eq!(mistakes(bytes).0, ["2:4 this is not UTF-8"]);
    let missing = Files::new::<&str>(&[]).load().unwrap_err().to_string();
    assert!(missing.starts_with("cannot read the recipe r/main.yaml"), "{missing}");
}

#[test]
fn a_base_has_no_name_and_does_not_give_one() {
    let files = Files::new(&[
        ("r/main.yaml", "include: [base.yaml]\n"),
        ("r/base.yaml", "name: base\ndebian: {suite: bookworm}\n"),
    ]);
    assert_eq!(mistakes(files.load()).0, ["1:1 this recipe has no `name`"]);
}

#[test]
fn later_files_win_lists_add_up_and_removals_remove() {
    let recipe = Files::new(&[
        (
            "r/main.yaml",
            "include: [a.yaml, sub/b.yaml]\nname: main\nremove-packages: [curl]\npackages: [bash]\n\
             compression: {usr-level: 3}\nkernel: {remove-cmdline: [quiet], cmdline: [console=ttyS0]}\n\
             nics: [{name: n, initramfs: true}]\n",
        ),
        // `base` is laid down once, below both: it does not undo what `a` says.
        ("r/a.yaml", "include: [base.yaml]\ncompression: {usr-level: 9, initramfs-level: 4}\n"),
        ("r/sub/b.yaml", "include: [../base.yaml]\npackages: [vim]\noverlays: [{name: sub}]\n"),
        (
            "r/base.yaml",
            "debian: {suite: bookworm}\npackages: [curl, dash]\ncompression: {usr-level: 1}\n\
             kernel: {cmdline: [quiet, panic=10]}\nnics: [{name: n, driver: d, pci: [\"8086:10FB\"]}]\n\
             overlays: [{name: base}]\n",
        ),
    ])
    .load()
    .unwrap();
    assert_eq!(recipe.packages.iter().collect::<Vec<_>>(), ["bash", "dash", "vim"]);
    assert_eq!((recipe.compression.usr_level, recipe.compression.initramfs_level), (3, 4));
    assert_eq!(recipe.kernel.cmdline, ["panic=10", "console=ttyS0"]);
    assert!(recipe.nics[0].initramfs && recipe.nics[0].driver == "d");
    assert_eq!(recipe.nics[0].pci[0].to_string(), "8086:10fb");
    let dirs: Vec<_> = recipe.overlays.iter().map(|o| o.dir.as_path()).collect();
    assert_eq!(dirs, [Path::new("overlays/base"), Path::new("r/overlays/sub")]);
}

#[test]
fn include_cycles_show_the_chain() {
    let (found, text) = mistakes(
        Files::new(&[
            ("r/main.yaml", "include: [a.yaml]\nname: main\n"),
            ("r/a.yaml", "include: [b.yaml]\n"),
            ("r/b.yaml", "packages: []\ninclude: [a.yaml]\n"),
        ])
        .load(),
    );
    assert_eq!(found, ["b.yaml:2:11 `a.yaml` includes itself"]);
    assert!(text.contains("r/a.yaml → r/b.yaml → r/a.yaml"), "{text}");
}

#[test]
fn the_disk_refuses_huge_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("big.yaml");
    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    let text = sledos::recipe::load(&file).unwrap_err().to_string();
    assert!(text.contains("longer than 1 MiB"), "{text}");
}

/// The YAML blocks of `docs/recipe.md` after a line `<!-- file: NAME -->` are files,
/// and together they are a good recipe with every key in it.
#[test]
fn the_documentation_is_true() {
    let doc = include_str!("../../../docs/recipe.md");
    let blocks = doc.split("<!-- file: ").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->\n").expect("the end of the comment");
        let yaml = rest.split_once("```yaml\n").expect("a yaml block").1;
        (name, yaml.split_once("```").expect("the end of the block").0)
    });
    let blocks: Vec<(&str, &str)> = blocks.collect();
    let recipe = load_from(Path::new("recipes/compute.yaml"), &Files::new(&blocks))
        .unwrap_or_else(|e| panic!("docs/recipe.md: {e}"));
    assert_eq!(recipe.name, "compute");
    assert!(!recipe.components.is_empty() && !recipe.users.is_empty() && recipe.budgets.init.is_some());

    // The unknown-key message lists the keys there are: each has a place in the reference.
    let (_, text) = mistakes(load(&format!("{GOOD}zzz: 1\n")));
    let known = text.split("known keys: ").nth(1).unwrap().lines().next().unwrap();
    for key in known.split(", ") {
        assert!(doc.contains(&format!("| `{key}` |")), "docs/recipe.md does not describe `{key}`");
    }
}

/// The defaults as the documentation states them.
#[test]
fn defaults() {
    let recipe = load(GOOD).unwrap();
    assert_eq!((recipe.debian.arch.as_str(), recipe.debian.components.join(" ").as_str()), ("amd64", "main"));
    assert_eq!(recipe.kernel.package, "linux-image-amd64");
    let mib = |n: u64| n << 20;
    let layout = &recipe.layout;
    assert_eq!((layout.esp, layout.usr, layout.verity), (mib(128), mib(512), mib(8)));
    assert_eq!((layout.oem, layout.root), (mib(64), mib(512)));
    let c = &recipe.compression;
    assert_eq!((c.usr_level, c.block_size, c.initramfs_level), (15, 256 << 10, 19));
    assert!(!recipe.debian.recommends && recipe.budgets.usr.is_none());
}

#[test]
fn sizes_as_people_write_them() {
    for (text, bytes) in [
        ("8MiB", 8_u64 << 20),
        ("8 MiB", 8 << 20),
        ("8M", 8 << 20),
        ("8388608", 8 << 20),
        ("2G", 2 << 30),
        ("1024K", 1 << 20),
    ] {
        let recipe = load(&format!("{GOOD}layout: {{root: {text}}}\n")).unwrap();
        assert_eq!(recipe.layout.root, bytes, "{text}");
    }
}

/// Words that make up recipes, to get further into the reader than random bytes do.
fn yamlish() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("name".to_owned()),
        Just("debian".to_owned()),
        Just("packages".to_owned()),
        Just("nics".to_owned()),
        Just("remove-nics".to_owned()),
        Just("include".to_owned()),
        Just("main.yaml".to_owned()),
        Just("layout".to_owned()),
        Just("overlays".to_owned()),
        Just("users".to_owned()),
        Just("attributes".to_owned()),
        Just("exclude".to_owned()),
        Just(": ".to_owned()),
        Just("\n".to_owned()),
        Just("\n  ".to_owned()),
        Just("- ".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(", ".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("\"".to_owned()),
        Just("|\n".to_owned()),
        Just("---\n".to_owned()),
        Just("0644".to_owned()),
        Just("#".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("ä😀".to_owned()),
        Just("\r\n".to_owned()),
        Just("\t".to_owned()),
        ".{0,3}",
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever the file says, loading ends with a recipe or with mistakes that can be shown.
    #[test]
    fn no_file_makes_it_panic(text in prop_oneof![yamlish(), ".{0,200}"]) {
        if let Err(e) = load(&text) {
            prop_assert!(!e.0.is_empty() && !e.to_string().is_empty());
        }
    }

    /// The same after a good beginning, for every key and any value.
    #[test]
    fn no_value_makes_it_panic(row in 0..MISTAKES.len(), at in any::<prop::sample::Index>(), with in ".{0,4}") {
        let (yaml, ..) = MISTAKES[row];
        let cuts: Vec<usize> = yaml.char_indices().map(|(i, _)| i).collect();
        let cut = cuts[at.index(cuts.len())];
        if let Err(e) = load(&format!("{GOOD}{}{with}{}", &yaml[..cut], &yaml[cut..])) {
            prop_assert!(!e.to_string().is_empty());
        }
    }
}

/// A document that has `node` at a path of the schema: `[]` stands for a list, `*` for
/// any key of a map.
fn at(path: &[&str], node: &str) -> String {
    path.iter().rev().fold(node.to_owned(), |inner, step| match *step {
        "[]" => format!("[{inner}]"),
        "*" => format!("{{x: {inner}}}"),
        key => format!("{{{key}: {inner}}}"),
    })
}

/// Every property of a schema, with the path of the object it is in.
fn properties<'a>(
    schema: &'a serde_json::Value,
    path: &mut Vec<&'a str>,
    found: &mut Vec<(Vec<&'a str>, &'a str)>,
) {
    for (key, below) in schema["properties"].as_object().into_iter().flatten() {
        found.push((path.clone(), key));
        path.push(key);
        properties(below, path, found);
        path.pop();
    }
    for (step, below) in [("[]", &schema["items"]), ("*", &schema["additionalProperties"])] {
        if !below.is_object() {
            continue;
        }
        path.push(step);
        properties(below, path, found);
        path.pop();
    }
}

/// The other way round is in the tests of the artefacts: a public validator finds every key
/// of docs/recipe.md, which has them all, in the schema.
#[test]
fn the_schema_has_no_key_that_a_recipe_has_not() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/schema/recipe.json")).unwrap();
    let mut found = Vec::new();
    properties(&schema, &mut Vec::new(), &mut found);
    assert!(found.len() > 60, "{}", found.len());
    let said = |path: &[&str], key: &str| match load(&at(path, &format!("{{{key}: 1}}"))) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    };
    for (path, key) in found {
        let unknown = said(&path, "no-such-key");
        assert!(unknown.contains("unknown key `no-such-key`"), "{path:?} is no map of keys: {unknown}");
        let known = said(&path, key);
        assert!(!known.contains(&format!("unknown key `{key}`")), "{path:?} {key}: {known}");
    }
}
