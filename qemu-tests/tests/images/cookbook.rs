//! Every recipe of the cookbook is built from real packages, two are booted, and two
//! images of it with different kernels are compared by other people's tools.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use qemu_tests::scratch::Scratch;
use qemu_tests::{image, judge};
use serde_json::Value;
use sledos::artefacts::Image;
use sledos::build::Built;
use sledos::cli::boot::{self, FirmwareKind};
use sledos::qemu::Machine;
use sledos::{diff, verify};

/// From power-on to a login prompt.
const LOGIN: Duration = Duration::from_secs(240);

fn shell(package: &str, script: &str, args: &[&Path]) -> String {
    let flags = ["-o", "pipefail", "-ec", script].map(Path::new);
    judge::run(&format!("{package} (or bash)"), "bash", flags.into_iter().chain(args.iter().copied()))
}

fn scratch(name: &str) -> Scratch {
    Scratch::new(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cookbook").join(name))
}

/// A copy of the cookbook whose own repository is one that apt's tools made here.
fn kitchen() -> &'static Path {
    static KITCHEN: OnceLock<&'static Path> = OnceLock::new();
    KITCHEN.get_or_init(|| {
        let dir = scratch("kitchen").shared();
        let script = r#"
            cp -r "$1"/recipes "$1"/overlays "$0"; rm -f "$0"/recipes/*.lock; cd "$0"
            mkdir -p keys gpg deb/DEBIAN deb/usr/bin site/pool site/dists/stable/main/binary-amd64; chmod 700 gpg
            printf 'Package: site-tools\nVersion: 1.0\nArchitecture: all\nMaintainer: Site <site@example.org>\nDescription: tools of this site\n' >deb/DEBIAN/control
            printf '#!/bin/sh\necho tools\n' >deb/usr/bin/site-tool; chmod 755 deb/usr/bin/site-tool
            dpkg-deb --root-owner-group --build deb site/pool/site-tools_1.0_all.deb >/dev/null
            cd site; packages=main/binary-amd64/Packages
            dpkg-scanpackages pool 2>/dev/null >dists/stable/$packages; cd dists/stable
            { printf 'Origin: site\nSuite: stable\nCodename: stable\nArchitectures: amd64\nComponents: main\n'
              printf 'Date: %s\nSHA256:\n' "$(date --utc -R)"
              printf ' %s %s %s\n' "$(sha256sum <$packages | cut -d' ' -f1)" "$(stat -c %s $packages)" "$packages"; } >Release
            gpg="gpg --homedir $0/gpg --batch --quiet --passphrase= --pinentry-mode loopback"
            $gpg --quick-generate-key site@example.org ed25519 sign 1y 2>/dev/null
            $gpg --clearsign --output InRelease Release; $gpg --armor --export >"$0/keys/site.asc"
            gpgconf --homedir "$0/gpg" --kill all
            sed -i "s#https://apt.example.org/debian#file://$0/site#" "$0/recipes/repository.yaml""#;
        shell("dpkg-dev, gnupg", script, &[dir, &image::top().join("docs/cookbook")]);
        dir
    })
}

fn build(recipe: &str) -> Built {
    let mut request = image::request("unused", &kitchen().join("output"));
    request.recipe = kitchen().join("recipes").join(recipe);
    (request.locked, request.compressed_disk) = (false, false);
    let built = image::build(request);
    let report = verify::artefacts(&built.dir, &[]).expect("it is an image");
    assert_eq!(report.problems().count(), 0, "{recipe}:\n{report}");
    built
}

fn file(built: &Built, path: &str) -> Option<(u16, String)> {
    let usr = Image::open(&built.dir).expect("it is an image").usr().expect("it has a /usr");
    let path = formats::tree::TreePath::parse(path.as_bytes()).expect("a path");
    let node = usr.listing.tree.get(&path)?;
    let formats::tree::Kind::File(content) = &node.kind else { panic!("{path} is no file") };
    Some((node.mode, String::from_utf8_lossy(&content.to_vec().expect("it reads")).into_owned()))
}

#[test]
fn every_recipe_is_in_the_text_and_does_what_it_says() {
    let text = fs::read_to_string(image::top().join("docs/cookbook.md")).expect("it is in the repository");
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(image::top().join("docs/cookbook/recipes")).expect("it is in the repository") {
        let name = entry.expect("it can be listed").file_name().to_string_lossy().into_owned();
        if !name.ends_with(".yaml") {
            continue;
        }
        assert!(text.contains(&format!("cookbook/recipes/{name}")), "docs/cookbook.md does not name {name}");
        let built = build(&name);
        match name.as_str() {
            "minimal.yaml" => assert!(built.manifest.nics.is_empty()),
            "driver.yaml" => {
                let nic = built.manifest.nics.iter().find(|nic| nic.to_string().contains("14c1:0008"));
                let nic = nic.expect("the NIC is in the manifest").to_string();
                assert!(nic.contains("myri10ge") && nic.contains(".dat"), "driver and firmware: {nic}");
            }
            "overlay.yaml" => {
                let (mode, text) = file(&built, "lib/hello/greet").expect("the overlay's script");
                assert_eq!((mode, text.starts_with("#!/bin/sh\n")), (0o755, true));
            }
            "repository.yaml" => {
                assert_eq!(built.manifest.packages.get("site-tools").map(String::as_str), Some("1.0"));
                assert_eq!(file(&built, "bin/site-tool").expect("the package's file").0, 0o755);
            }
            "shares.yaml" => {
                let modules = format!("lib/modules/{}/kernel/fs", built.manifest.kernel.release);
                for (helper, module) in [("mount.nfs", "nfs/nfsv4.ko"), ("mount.cifs", "smb/client/cifs.ko")]
                {
                    let (mode, _) = file(&built, &format!("sbin/{helper}")).expect("the mount helper");
                    assert_eq!(mode, 0o755, "{helper}");
                    assert!(file(&built, &format!("{modules}/{module}")).is_some(), "{module}");
                }
                let units = image::top().join("docs/cookbook/overlays/shares/usr/lib/systemd/system");
                shell("systemd", "systemd-analyze verify --man=no \"$0\"/*.mount", &[&units]);
            }
            "trixie.yaml" => {
                let (_, release) = file(&built, "lib/os-release").expect("every image has one");
                assert!(release.contains("VERSION_CODENAME=trixie"), "{release}");
            }
            other => panic!("nothing here says what {other} is for"),
        }
        seen.insert(name);
    }
    assert_eq!(seen.len(), 6, "{seen:?}");

    for (recipe, said) in [("overlay", "hello from overlay test"), ("trixie", "Debian GNU/Linux 13")] {
        let dir = scratch(&format!("boot-{recipe}"));
        let image = kitchen().join("output").join(recipe).join("test");
        let spec = boot::spec(&image, FirmwareKind::Uefi, 2 << 30, &dir).expect("the image is complete");
        let machine = Machine::start(recipe, &spec, &dir).expect("QEMU starts");
        let console = machine.wait_for("localhost login:", LOGIN).expect("it boots");
        assert!(console.contains(said), "{console}");
    }
}

/// What is not the same, as `diff` of diffutils says of two unpacked trees.
fn diffutils(a: &Path, b: &Path) -> BTreeSet<String> {
    let said = shell("diffutils", r#"diff -rq --no-dereference "$0" "$1" || [ $? = 1 ]"#, &[a, b]);
    let below = |path: &str| {
        let path = Path::new(path);
        let path = path.strip_prefix(a).or_else(|_| path.strip_prefix(b)).expect("it is below one of them");
        path.to_string_lossy().into_owned()
    };
    let names = said.lines().flat_map(|line| match line.strip_prefix("Only in ") {
        Some(only) => {
            let path = only.replacen(": ", "/", 1);
            // A directory that is not there at all is one line.
            let find = r#"[ -L "$0" ] || [ ! -d "$0" ] && echo "$0" || find "$0""#;
            shell("findutils", find, &[Path::new(&path)]).lines().map(below).collect::<Vec<_>>()
        }
        // "Files A and B differ", "Symbolic links A and B differ", "File A is a … while file B is a …"
        None => {
            let word = line.split(' ').find(|word| word.starts_with('/')).expect("it names a path");
            vec![below(word)]
        }
    });
    names.collect()
}

/// What is not the same, as diffoscope says of two unpacked trees.
fn diffoscope(a: &Path, b: &Path) -> BTreeSet<String> {
    // Whether files differ is asked, not how their machine code does.
    let script = r#"diffoscope --no-progress --exclude-directory-metadata=yes --fuzzy-threshold 0 \
        --exclude-command objdump --exclude-command readelf --exclude-command '^nm' --exclude-command strings \
        --exclude-command objcopy --json - "$0" "$1" || [ $? = 1 ]"#;
    let said = shell("diffoscope-minimal", script, &[a, b]);
    let report: Value = serde_json::from_str(&said).expect("diffoscope writes JSON");
    let mut found = BTreeSet::new();
    leaves(&report, &a.to_string_lossy(), &mut found);
    found
}

fn leaves(detail: &Value, top: &str, found: &mut BTreeSet<String>) {
    let name = |detail: &Value| detail["source1"].as_str().unwrap_or_default().to_owned();
    let below = detail["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    // What a file is made of is below it, too, under other names.
    let files: Vec<_> = below.iter().filter(|detail| name(detail).starts_with(top)).collect();
    if files.is_empty() {
        let path = name(detail);
        found.insert(path.trim_start_matches(top).trim_start_matches('/').to_owned());
    }
    files.into_iter().for_each(|file| leaves(file, top, found));
}

#[test]
fn diffoscope_and_diffutils_agree_with_diff_on_two_kernels() {
    // The same recipe: with the kernel of the last point release, and with the newest.
    let newer = kitchen().join("recipes/newer.yaml");
    let recipe = "include: [minimal.yaml]\nname: newer\ndebian: {extra-suites: [bookworm-security, bookworm-updates]}\n";
    fs::write(&newer, recipe).expect("the copy is ours");
    let (old, new) = (build("minimal.yaml"), build("newer.yaml"));
    let releases = [&old, &new].map(|built| built.manifest.kernel.release.clone());
    assert_ne!(releases[0], releases[1], "the mirror has one kernel only: nothing to compare");
    let ours = diff::diff(&old.dir, &new.dir, None).expect("both are images");

    let dir = scratch("unpacked");
    let script = r#"
        unsquashfs -quiet -no-progress -dest "$1/usr" "$0/usr.squashfs"
        mkdir "$1/initramfs"; cd "$1/initramfs"; zstd -dqc "$0/initramfs.zst" | cpio --extract --quiet
        # The kernel's own directory has another name; what is in it is compared.
        for lib in "$1"/usr/lib "$1"/initramfs/lib; do mv $lib/modules/[0-9]* $lib/modules/KERNEL; done"#;
    let unpacked = [("old", &old), ("new", &new)].map(|(name, built)| {
        let to = dir.join(name);
        fs::create_dir(&to).expect("the directory is new");
        shell("squashfs-tools, zstd, cpio", script, &[&built.dir, &to]);
        to
    });
    let part = |top: &str| -> BTreeSet<String> {
        let files = ours.files.iter().filter_map(|file| file.path.strip_prefix(top));
        let modules = |n: usize| format!("lib/modules/{}", releases[n]);
        let kernel = "lib/modules/KERNEL";
        files.map(|path| path.replace(&modules(0), kernel).replace(&modules(1), kernel)).collect()
    };
    let [a, b] = &unpacked;
    let theirs = diffutils(&a.join("usr"), &b.join("usr"));
    assert!(theirs.len() > 1000, "another kernel changes its modules: {}", theirs.len());
    assert_eq!(part("/usr/").symmetric_difference(&theirs).collect::<Vec<_>>(), Vec::<&String>::new());
    let theirs = diffoscope(&a.join("initramfs"), &b.join("initramfs"));
    assert!(theirs.len() > 10, "{theirs:?}");
    assert_eq!(part("initramfs:/").symmetric_difference(&theirs).collect::<Vec<_>>(), Vec::<&String>::new());
}
