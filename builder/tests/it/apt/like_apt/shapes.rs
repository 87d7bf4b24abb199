//! The shapes: what is unusual about each is its name.

use super::KERNEL;
use super::site::{As, Site, compressed, date};

/// What a shape's repository is to the recipe.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// One beside the distribution.
    Repository,
    /// A further suite of the distribution.
    Suite,
}

pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) role: Role,
    pub(super) suite: &'static str,
    pub(super) components: &'static [&'static str],
    pub(super) asked: &'static [&'static str],
    /// Why we do something else than apt, on purpose.
    pub(super) differs: Option<&'static str>,
    pub(super) make: fn(&mut Site<'_>),
}

/// The distribution that all shapes stand beside.
pub(super) fn base(site: &mut Site<'_>) {
    site.deb(KERNEL, "6.1", "amd64", "");
    site.deb("tool", "1.0", "amd64", "Depends: lib\n")
        .deb("lib", "1.0", "amd64", "")
        .deb("net", "1.0", "all", "");
    site.deb("mawk", "1.0", "amd64", "Provides: awk\nPriority: required\n").deb(
        "user",
        "1.0",
        "all",
        "Depends: awk\n",
    );
    site.deb("either", "1.0", "all", "Depends: lib (>= 2) | net\n");
    let text = site.scan("pool");
    site.publish(text);
}

fn shape(name: &'static str, make: fn(&mut Site<'_>)) -> Shape {
    let (role, suite, components) = (Role::Repository, "stable", &["main"][..]);
    Shape { name, role, suite, components, asked: &["t-x"], differs: None, make }
}

impl Shape {
    fn asked(self, asked: &'static [&'static str]) -> Shape {
        Shape { asked, ..self }
    }

    fn differs(self, why: &'static str) -> Shape {
        Shape { differs: Some(why), ..self }
    }

    fn flat(self, suite: &'static str) -> Shape {
        Shape { suite, components: &[], ..self }
    }

    /// A further suite of the distribution, called `more`.
    fn suite(self) -> Shape {
        Shape { role: Role::Suite, suite: "more", ..self }
    }
}

/// One package, `t-x`.
fn one(site: &Site<'_>) -> String {
    site.deb("t-x", "1.0", "amd64", "");
    site.scan("pool")
}

/// `t-x` at `path`, which dpkg-scanpackages may not write as we want it.
fn at(site: &mut Site<'_>, file: &str, written: &str) {
    site.deb_at(&format!("pool/{file}"), "t-x", "1.0", "amd64", "");
    let text = site.scan("pool");
    let filename = text.lines().find(|line| line.starts_with("Filename: ")).unwrap();
    let text = text.replace(filename, &format!("Filename: {written}"));
    site.publish(text);
}

/// `t-x`, and beside it `t-bad`, whose stanza `change` changes.
fn beside(site: &mut Site<'_>, change: fn(&str) -> Vec<u8>) {
    site.deb("t-bad", "1.0", "amd64", "").deb("t-x", "1.0", "amd64", "");
    let text = site.scan("pool");
    let (bad, good) = text.split_once("\n\n").unwrap();
    assert!(bad.contains("t-bad"));
    let text = [good.as_bytes(), b"\n\n", &change(bad), b"\n"].concat();
    site.publish(text);
}

fn without(stanza: &str, field: &str) -> Vec<u8> {
    let lines = stanza.lines().filter(|line| !line.starts_with(field));
    lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

/// The second suite with newer versions of what the distribution has.
fn newer(site: &mut Site<'_>) {
    site.deb("tool", "2.0", "amd64", "Depends: lib (>= 2)\n").deb("lib", "2.0", "amd64", "");
    site.deb("net", "2.0", "all", "").deb("only", "2.0", "all", "Depends: net\n");
    let text = site.scan("pool");
    site.publish(text);
}

fn backports(site: &mut Site<'_>) {
    site.set("NotAutomatic", "yes").set("ButAutomaticUpgrades", "yes");
    newer(site);
}

fn experimental(site: &mut Site<'_>) {
    site.set("NotAutomatic", "yes");
    newer(site);
}

pub(super) fn all() -> Vec<Shape> {
    let mut all = compressions();
    all.extend(architectures());
    all.extend(names());
    all.extend(stanzas());
    all.extend(releases());
    all.extend(flat());
    all.extend(policy());
    all
}

fn compressions() -> Vec<Shape> {
    vec![
        shape("gzip", |s| s.index("main/binary-amd64", one(s), &[As::Gz]).sign()),
        shape("xz", |s| s.index("main/binary-amd64", one(s), &[As::Xz]).sign()),
        shape("zstd", |s| s.index("main/binary-amd64", one(s), &[As::Zst]).sign()),
        shape("bzip2", |s| s.index("main/binary-amd64", one(s), &[As::Bz2]).sign()),
        shape("lzma", |s| s.index("main/binary-amd64", one(s), &[As::Lzma]).sign()),
        shape("plain", |s| s.index("main/binary-amd64", one(s), &[As::Plain]).sign()),
        shape("all-of-them", |s| {
            let forms = [As::Plain, As::Gz, As::Xz, As::Zst, As::Bz2, As::Lzma];
            s.index("main/binary-amd64", one(s), &forms).sign();
        }),
        shape("xz-listed-gzip-there", |s| {
            let (text, dir) = (one(s), "main/binary-amd64");
            let (_, xz) = compressed(text.as_bytes(), As::Xz);
            s.list("main/binary-amd64/Packages.xz", &xz).index(dir, text, &[As::Gz]).sign();
        }),
        shape("gzip-listed-plain-there", |s| {
            let (text, dir) = (one(s), "main/binary-amd64");
            let (_, gz) = compressed(text.as_bytes(), As::Gz);
            s.list("main/binary-amd64/Packages.gz", &gz).index(dir, text, &[As::Plain]).sign();
        }),
        shape("by-hash-alone", |s| {
            let text = one(s);
            s.index("main/binary-amd64", text, &[As::Gz]).move_to_by_hash().sign();
        }),
        shape("by-hash-of-sha512-alone", |s| {
            s.hashes = &["SHA512"];
            let text = one(s);
            s.index("main/binary-amd64", text, &[As::Xz]).move_to_by_hash().sign();
        }),
        shape("by-hash-said-and-missing", |s| {
            s.set("Acquire-By-Hash", "yes");
            let text = one(s);
            s.publish(text);
        }),
        shape("by-hash-missing-of-several", |s| {
            s.set("Acquire-By-Hash", "yes");
            let text = one(s);
            s.index("main/binary-amd64", text, &[As::Xz, As::Gz, As::Plain]).sign();
        }),
        shape("packages-changed", |s| {
            let text = one(s);
            s.publish(text);
            let (_, gz) = compressed(b"Package: t-x\n", As::Gz);
            s.file("main/binary-amd64/Packages.gz", &gz);
        }),
        shape("nothing-but-names", |s| {
            let text = one(s);
            s.list("main/binary-amd64/Packages.gz", &compressed(text.as_bytes(), As::Gz).1).sign();
        }),
    ]
}

fn architectures() -> Vec<Shape> {
    fn split(site: &mut Site<'_>) {
        site.deb("t-x", "1.0", "all", "").deb_at(
            "native/t-y_1.0_amd64.deb",
            "t-y",
            "1.0",
            "amd64",
            "Depends: t-x\n",
        );
        let (all, native) = (site.scan_for("pool", "all"), site.scan("native"));
        site.index("main/binary-all", all, &[As::Gz]).index("main/binary-amd64", native, &[As::Gz]);
    }
    vec![
        shape("binary-all", |s| {
            split(s);
            s.set("Architectures", "all amd64").sign();
        })
        .asked(&["t-y"]),
        shape("binary-all-that-does-not-count", |s| {
            split(s);
            s.set("Architectures", "all amd64").set("No-Support-for-Architecture-all", "Packages").sign();
        }),
        shape("binary-all-that-is-not-said", |s| {
            split(s);
            s.sign();
        }),
        shape("binary-all-without-architectures", |s| {
            split(s);
            s.unset("Architectures").sign();
        })
        .asked(&["t-y"]),
        shape("nothing-but-binary-all", |s| {
            s.deb("t-x", "1.0", "all", "");
            let all = s.scan_for("pool", "all");
            s.index("main/binary-all", all, &[As::Gz]).set("Architectures", "all").sign();
        }),
        shape("all-in-binary-amd64", |s| {
            s.deb("t-x", "1.0", "all", "");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("another-architecture-is-newer", |s| {
            s.deb("t-x", "1.0", "amd64", "").deb("t-x", "2.0", "i386", "");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("another-architecture-alone", |s| {
            s.deb("t-x", "1.0", "i386", "");
            let text = s.scan_for("pool", "i386");
            s.publish(text);
        }),
    ]
}

fn names() -> Vec<Shape> {
    vec![
        shape("percent", |s| at(s, "t-x_1%3a2.0_amd64.deb", "pool/t-x_1%3a2.0_amd64.deb")),
        shape("percent-without-digits", |s| at(s, "t-x_100%.deb", "pool/t-x_100%.deb")),
        shape("plus-and-tilde", |s| at(s, "t-x_1.0+dfsg~rc1.deb", "pool/t-x_1.0+dfsg~rc1.deb")),
        shape("colon", |s| at(s, "t-x_1:1.0.deb", "pool/t-x_1:1.0.deb")),
        shape("blank", |s| at(s, "t x.deb", "pool/t x.deb")),
        shape("beyond-ascii", |s| at(s, "t-x_\u{fc}\u{20ac}.deb", "pool/t-x_\u{fc}\u{20ac}.deb")),
        shape("dot-in-the-middle", |s| at(s, "t-x.deb", "pool/./t-x.deb")),
        shape("dot-slash", |s| at(s, "t-x.deb", "./pool/t-x.deb")),
        shape("two-slashes", |s| at(s, "t-x.deb", "pool//t-x.deb")),
        shape("slash-first", |s| at(s, "t-x.deb", "/pool/t-x.deb")),
        shape("deep", |s| at(s, "a/b/c/d/e/f/g/t-x.deb", "pool/a/b/c/d/e/f/g/t-x.deb")),
        shape("out-of-the-repository", |s| at(s, "t-x.deb", "pool/../../base/pool/net_1.0_all.deb")),
    ]
}

fn stanzas() -> Vec<Shape> {
    let bad_alone = &["t-bad"];
    vec![
        shape("no-sha256-beside", |s| beside(s, |bad| without(bad, "SHA256"))),
        shape("no-sha256", |s| beside(s, |bad| without(bad, "SHA256"))).asked(bad_alone),
        shape("no-size-beside", |s| beside(s, |bad| without(bad, "Size"))),
        shape("no-filename-beside", |s| beside(s, |bad| without(bad, "Filename"))),
        shape("no-filename", |s| beside(s, |bad| without(bad, "Filename"))).asked(bad_alone),
        shape("no-version-beside", |s| beside(s, |bad| without(bad, "Version"))),
        shape("no-architecture-beside", |s| beside(s, |bad| without(bad, "Architecture"))),
        shape("underscore-beside", |s| {
            beside(s, |bad| bad.replace("Package: t-bad", "Package: t_bad").into_bytes());
        }),
        shape("latin1-beside", |s| {
            beside(s, |bad| {
                bad.replace("Maintainer: T", "Maintainer: J\u{1}rgen")
                    .replace('\u{1}', "\u{fc}")
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect()
            });
        }),
        shape("latin1", |s| {
            beside(s, |bad| {
                bad.replace("Maintainer: T", "Maintainer: J\u{fc}rgen")
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect()
            });
        })
        .asked(bad_alone),
        shape("wrong-hash", |s| {
            beside(s, |bad| {
                let line = bad.lines().find(|line| line.starts_with("SHA256")).unwrap();
                bad.replace(line, &format!("SHA256: {}", "7".repeat(64))).into_bytes()
            });
        })
        .asked(bad_alone),
        shape("long-fields", |s| {
            beside(s, |bad| {
                let long = format!("Description: test\n {}\n", "x".repeat(300_000));
                bad.replace("Description: test", &long).into_bytes()
            });
        }),
        shape("many-names-in-a-field", |s| {
            let names: Vec<String> = (0..2000).map(|n| format!("name-{n} (= 1.{n})")).collect();
            s.deb(
                "t-x",
                "1.0",
                "amd64",
                &format!("Provides: {}\nConflicts: name-1 (<< 1)\n", names.join(", ")),
            );
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("lower-case-fields", |s| {
            let text = one(s).replace("Filename:", "filename:").replace("Version:", "version:");
            s.publish(text.replace("SHA256:", "Sha256:"));
        }),
        shape("line-ends-of-dos", |s| {
            let text = one(s).replace('\n', "\r\n");
            s.publish(text);
        }),
        shape("several-empty-lines", |s| {
            s.deb("t-bad", "1.0", "amd64", "").deb("t-x", "1.0", "amd64", "");
            let text = s.scan("pool").replace("\n\n", "\n\n\n\n");
            s.publish(format!("\n\n{text}\n\n"));
        })
        .differs("apt fails on an empty line before the first stanza, which does no harm"),
        shape("no-empty-line-at-the-end", |s| {
            let text = one(s);
            s.publish(text.trim_end());
        }),
        shape("an-empty-index", |s| s.publish("")).asked(&["tool"]),
        shape("junk-at-the-end", |s| {
            let text = one(s);
            s.publish(text + "\nthis is no stanza\n");
        }),
        shape("fields-nobody-knows", |s| {
            let text = one(s).replace("Version:", "X-Site: a: b\nX-Empty:\nVersion:");
            s.publish(text);
        }),
        shape("several-versions", |s| {
            s.deb("t-x", "1.9", "amd64", "")
                .deb("t-x", "1.10", "amd64", "")
                .deb("t-x", "1.10~rc1", "amd64", "");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("epochs", |s| {
            s.deb("t-x", "1:0.1", "amd64", "").deb("t-x", "9.0", "amd64", "");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("a-version-that-is-asked-for", |s| {
            s.deb("t-x", "1.9", "amd64", "").deb("t-x", "1.10", "amd64", "");
            let text = s.scan("pool");
            s.publish(text);
        })
        .asked(&["t-x=1.9"]),
    ]
}

fn releases() -> Vec<Shape> {
    let with = |name, make| shape(name, make);
    vec![
        with("release-gpg", |s| {
            s.index("main/binary-amd64", one(s), &[As::Gz]).sign_beside(true);
        }),
        with("release-gpg-binary", |s| {
            s.index("main/binary-amd64", one(s), &[As::Gz]).sign_beside(false);
        })
        .differs("apt wants armour around Release.gpg; it says nothing about who signed"),
        with("release-gpg-of-another-release", |s| {
            s.index("main/binary-amd64", one(s), &[As::Gz]).sign_beside(true);
            let changed = s.release().replace("Origin: T", "Origin: U");
            s.file("Release", changed.as_bytes());
        }),
        with("not-signed", |s| {
            let text = one(s);
            s.index("main/binary-amd64", text, &[As::Gz]);
            s.file("Release", s.release().as_bytes());
        }),
        with("signed-by-a-stranger", |s| {
            s.index("main/binary-amd64", one(s), &[As::Gz]).sign_by_a_stranger();
        }),
        with("sha512-alone", |s| {
            s.hashes = &["SHA512"];
            let text = one(s);
            s.publish(text);
        }),
        with("sha256-and-sha512", |s| {
            s.hashes = &["SHA256", "SHA512"];
            let text = one(s);
            s.publish(text);
        }),
        with("md5-and-sha1-alone", |s| {
            s.hashes = &["MD5Sum", "SHA1"];
            let text = one(s);
            s.publish(text);
        }),
        with("valid-until-empty", |s| {
            let text = one(s);
            s.set("Valid-Until", "").publish(text);
        }),
        with("valid-until-tomorrow", |s| {
            let text = one(s);
            s.set("Valid-Until", &date("tomorrow")).publish(text);
        }),
        with("valid-until-yesterday", |s| {
            let text = one(s);
            s.set("Valid-Until", &date("yesterday")).publish(text);
        }),
        with("valid-until-nonsense", |s| {
            let text = one(s);
            s.set("Valid-Until", "soon").publish(text);
        }),
        with("no-suite-and-codename", |s| {
            let text = one(s);
            s.unset("Suite").unset("Codename").publish(text);
        }),
        with("codename-alone", |s| {
            let text = one(s);
            s.unset("Suite").publish(text);
        }),
        with("another-suite", |s| {
            let text = one(s);
            s.set("Suite", "old").set("Codename", "old").publish(text);
        })
        .differs("apt warns; a mirror could pass off an old suite as the new one, so we refuse it"),
        with("no-date", |s| {
            let text = one(s);
            s.unset("Date").publish(text);
        })
        .differs("an image's time is that of its releases"),
        with("components-with-a-prefix", |s| {
            let text = one(s);
            s.set("Components", "updates/main").publish(text);
        }),
        with("a-component-that-is-not-there", |s| {
            let text = one(s);
            s.publish(text);
        })
        .components(&["main", "extra"])
        .differs("apt warns and goes on; a recipe that names what is not there is a mistake"),
        with("two-components", |s| {
            s.deb("t-x", "1.0", "all", "").deb_at("second/t-y.deb", "t-y", "1.0", "all", "Depends: t-x\n");
            let (first, second) = (s.scan("pool"), s.scan("second"));
            s.set("Components", "main extra").index("extra/binary-amd64", second, &[As::Xz]).publish(first);
        })
        .components(&["main", "extra"])
        .asked(&["t-y"]),
        with("fields-in-lower-case", |s| {
            s.index("main/binary-amd64", one(s), &[As::Gz]);
            s.fields =
                s.fields.drain(..).map(|(name, value)| (name.to_lowercase().leak() as &str, value)).collect();
            s.sign();
        }),
    ]
}

impl Shape {
    fn components(self, components: &'static [&'static str]) -> Shape {
        Shape { components, ..self }
    }
}

fn flat() -> Vec<Shape> {
    fn flat_at(site: &mut Site<'_>, dir: &str, scanned: &str) {
        site.deb_at(&format!("{dir}t-x_1.0_amd64.deb"), "t-x", "1.0", "amd64", "");
        let text = site.scan(scanned);
        site.unset("Suite").unset("Codename").unset("Components").index("", text, &[As::Gz]);
    }
    vec![
        shape("flat", |s| {
            flat_at(s, "", ".");
            s.sign();
        })
        .flat("./"),
        shape("flat-slash", |s| {
            flat_at(s, "", ".");
            s.sign();
        })
        .flat("/"),
        shape("flat-with-a-pool", |s| {
            flat_at(s, "pool/", "pool");
            s.sign();
        })
        .flat("./"),
        shape("flat-below", |s| {
            flat_at(s, "debian12/", "debian12");
            s.sign();
        })
        .flat("debian12/"),
        shape("flat-release-gpg", |s| {
            flat_at(s, "", ".");
            s.sign_beside(true);
        })
        .flat("./"),
        shape("flat-plain", |s| {
            s.deb_at("t-x_1.0_amd64.deb", "t-x", "1.0", "amd64", "");
            let text = s.scan(".");
            s.index("", text, &[As::Plain]).sign();
        })
        .flat("./"),
    ]
}

fn policy() -> Vec<Shape> {
    const UNASKED: &str = "a repository beside the distribution replaces none of its packages unasked";
    vec![
        shape("newer-suite", newer).suite().asked(&["tool", "net"]),
        shape("backports-unasked", backports).suite().asked(&["tool", "net"]),
        shape("backports-asked", backports).suite().asked(&["tool/more", "net"]),
        shape("backports-what-nobody-else-has", backports).suite().asked(&["only"]),
        shape("backports-alternative", backports).suite().asked(&["either"]),
        shape("experimental-unasked", experimental).suite().asked(&["tool", "net"]),
        shape("experimental-asked", experimental).suite().asked(&["net/more"]),
        shape("experimental-what-nobody-else-has", experimental).suite().asked(&["only"]),
        shape("not-automatic-no", |s| {
            s.set("NotAutomatic", "no").set("ButAutomaticUpgrades", "yes");
            newer(s);
        })
        .suite()
        .asked(&["tool"]),
        shape("essential-of-others", |s| {
            s.deb("t-x", "1.0", "amd64", "").deb("t-ess", "1.0", "amd64", "Essential: yes\n");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("repository-with-newer", newer).asked(&["tool"]).differs(UNASKED),
        shape("repository-with-newer-and-a-name-of-its-own", newer).asked(&["only"]).differs(UNASKED),
        shape("repository-that-needs-itself", |s| {
            s.deb("t-x", "1.0", "amd64", "Depends: t-lib (>= 1), lib\n").deb("t-lib", "1.0", "amd64", "");
            s.deb("t-other", "1.0", "amd64", "");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("repository-that-provides", |s| {
            s.deb("t-awk", "9.0", "amd64", "Provides: awk\nPriority: required\n")
                .deb("t-x", "1.0", "amd64", "");
            let text = s.scan("pool");
            s.publish(text);
        })
        .asked(&["t-x", "user"])
        .differs(UNASKED),
        shape("dependency-that-is-not-there", |s| {
            s.deb("t-x", "1.0", "amd64", "Depends: gone\n");
            let text = s.scan("pool");
            s.publish(text);
        }),
        shape("older-version-fits", |s| {
            s.deb("t-x", "1.0", "amd64", "Depends: t-lib (<< 2)\n")
                .deb("t-lib", "1.0", "all", "")
                .deb("t-lib", "2.0", "all", "");
            let text = s.scan("pool");
            s.publish(text);
        })
        .differs("apt looks at the newest version alone; an older one that fits is better than none"),
    ]
}
