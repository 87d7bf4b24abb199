//! What Debian's relations mean for the choice of packages.

use std::collections::{BTreeMap, BTreeSet};

use sledos::apt::index;
use sledos::apt::release::Automatic;
use sledos::apt::resolve::{Error, Pool, PoolSuite, Publisher, Request, resolve};

/// `name version [Field: value; …]` per line becomes an index.
fn packages(lines: &str) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(3, ' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        let fields = words.next().unwrap_or_default().replace("; ", "\n");
        text += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}_{version}\n\
             Size: 1\nSHA256: {}\n{fields}\n\n",
            crate::apt::repo::sha256(format!("{name} {version}").as_bytes())
        );
    }
    text.replace("\n\n\n", "\n\n")
}

struct Case<'a> {
    packages: &'a str,
    asked: &'a [&'a str],
    provided: &'a [&'a str],
    recommends: bool,
}

impl Case<'_> {
    fn solve(&self) -> Result<Vec<String>, Error> {
        let text = packages(self.packages);
        let provided: BTreeMap<String, String> =
            self.provided.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let asked: BTreeSet<String> = self.asked.iter().map(|name| (*name).to_owned()).collect();
        let mut suite = PoolSuite::new("debian", "bookworm", Publisher::Distribution, Automatic::Yes);
        suite.add(index::parse(&text, "amd64"));
        let request = Request {
            packages: &asked,
            kernel: None,
            components: &BTreeSet::new(),
            provided: &provided,
            recommends: self.recommends,
            needs: &[],
        };
        let pool = Pool::new(vec![suite], "amd64", &request);
        let chosen = resolve(&pool, &request)?;
        let show = |c: &sledos::apt::resolve::Chosen<'_>| {
            format!("{} {} < {}", c.record.name, c.record.version, c.because.join(" "))
        };
        Ok(chosen.iter().map(show).collect())
    }
}

fn solve(packages: &str, asked: &[&str]) -> Result<Vec<String>, Error> {
    Case { packages, asked, provided: &[], recommends: false }.solve()
}

#[track_caller]
fn expect(packages: &str, asked: &[&str], expected: &[&str]) {
    assert_eq!(solve(packages, asked).unwrap(), expected);
}

#[test]
fn dependencies_come_along_and_say_why() {
    expect(
        "e 1 Essential: yes; Depends: l\na 1 Depends: b, c; Recommends: r\nb 1 Pre-Depends: c\nc 1\nl 1\nr 1\nz 1",
        &["a"],
        &["a 1 < recipe", "b 1 < recipe a", "c 1 < recipe a", "e 1 < essential", "l 1 < essential e"],
    );
}

#[test]
fn the_highest_version_by_debians_rules_wins() {
    expect("a 1.9\na 1.10~rc1\na 1.10\na 1:0.1", &["a"], &["a 1:0.1 < recipe"]);
    expect("a 1.9\na 1.10~rc1\na 1.10", &["a=1.10~rc1"], &["a 1.10~rc1 < recipe"]);
    expect("a 1 Depends: b (<< 2)\nb 1.5\nb 2", &["a"], &["a 1 < recipe", "b 1.5 < recipe a"]);
}

#[test]
fn the_first_alternative_wins_unless_another_is_in_anyway() {
    let all = "a 1 Depends: b | c\nb 1\nc 1\nd 1 Depends: c";
    expect(all, &["a"], &["a 1 < recipe", "b 1 < recipe a"]);
    expect(all, &["a", "c"], &["a 1 < recipe", "c 1 < recipe"]);
    expect("a 1 Depends: b | c\nc 1", &["a"], &["a 1 < recipe", "c 1 < recipe a"]);
    expect("a 1 Depends: b | c\nb 1 Conflicts: a\nc 1", &["a"], &["a 1 < recipe", "c 1 < recipe a"]);
}

#[test]
fn a_real_package_wins_over_one_that_provides_the_name() {
    expect("a 1 Depends: v\nv 1\np 1 Provides: v", &["a"], &["a 1 < recipe", "v 1 < recipe a"]);
    expect("a 1 Depends: v\np 1 Provides: v\no 1 Provides: v", &["a"], &["a 1 < recipe", "o 1 < recipe a"]);
}

#[test]
fn of_those_that_provide_a_name_the_most_important_wins() {
    expect(
        "a 1 Depends: awk\ngawk 1 Provides: awk; Priority: optional\nmawk 1 Provides: awk; Priority: required",
        &["a"],
        &["a 1 < recipe", "mawk 1 < recipe a"],
    );
}

#[test]
fn a_provided_name_has_a_version_only_when_it_says_so() {
    expect(
        "a 1 Depends: v (>= 2)\np 1 Provides: v (= 3)\no 1 Provides: v",
        &["a"],
        &["a 1 < recipe", "p 1 < recipe a"],
    );
    let error = solve("a 1 Depends: v (>= 4)\np 1 Provides: v (= 3)\no 1 Provides: v", &["a"]).unwrap_err();
    assert!(matches!(error, Error::Unsatisfiable { .. }));
}

#[test]
fn a_package_that_conflicts_with_what_it_provides_does_not_hit_itself() {
    let all = "a 1 Provides: mta; Conflicts: mta\nb 1 Provides: mta";
    expect(all, &["a"], &["a 1 < recipe"]);
    assert!(matches!(solve(all, &["a", "b"]), Err(Error::Unsatisfiable { .. })));
}

#[test]
fn breaks_and_conflicts_leave_other_versions() {
    expect("a 1 Breaks: b (>> 1)\nb 1\nb 2", &["a", "b"], &["a 1 < recipe", "b 1 < recipe"]);
    let error = solve("a 1 Conflicts: b\nb 1", &["a", "b"]).unwrap_err().to_string();
    assert!(error.contains('a') && error.contains("not b"), "{error}");
}

#[test]
fn architecture_qualifiers() {
    expect(
        "a 1 Depends: b:any, c:amd64\nb 1\nc 1",
        &["a"],
        &["a 1 < recipe", "b 1 < recipe a", "c 1 < recipe a"],
    );
    assert!(matches!(solve("a 1 Depends: b:i386\nb 1", &["a"]), Err(Error::Unsatisfiable { .. })));
}

#[test]
fn what_the_image_provides_is_never_installed() {
    let packages = "e 1 Essential: yes\nk 1 Depends: initramfs-tools (>= 9) | linux-initramfs-tool, e\ninitramfs-tools 1\nb 1 Conflicts: initramfs-tools";
    let case = Case { packages, asked: &["k", "b"], provided: &["initramfs-tools", "e"], recommends: false };
    assert_eq!(case.solve().unwrap(), ["b 1 < recipe", "k 1 < recipe"]);
    let case = Case { asked: &["initramfs-tools"], ..case };
    assert!(matches!(case.solve(), Err(Error::AskedAndProvided { .. })));
}

#[test]
fn recommends_are_wishes() {
    let packages = "a 1 Recommends: b | x, c, gone\nb 1 Recommends: d\nc 1 Conflicts: a\nd 1";
    let case = Case { packages, asked: &["a"], provided: &[], recommends: true };
    assert_eq!(case.solve().unwrap(), ["a 1 < recipe", "b 1 < recipe a", "d 1 < recipe a b"]);
}

#[test]
fn an_unknown_name_gets_a_hint() {
    match solve("docker.io 1\ncurl 1", &["docker.oi"]) {
        Err(Error::UnknownPackage { near, .. }) => assert_eq!(near, ["docker.io"]),
        other => panic!("{other:?}"),
    }
    match solve("p 1 Provides: v\no 1 Provides: v", &["v"]) {
        Err(Error::VirtualPackage { providers, .. }) => assert_eq!(providers, ["o", "p"]),
        other => panic!("{other:?}"),
    }
    match solve("a 1\na 2", &["a=3"]) {
        Err(Error::UnknownVersion { exist, .. }) => assert_eq!(exist, ["2", "1"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_impossible_request_shows_the_chain() {
    let error = solve("top 1 Depends: mid\nmid 1 Depends: libfoo (>= 2)\nlibfoo 1\n", &["top"]).unwrap_err();
    let text = error.to_string();
    for part in ["top", "mid", "libfoo", "(>= 2)"] {
        assert!(text.contains(part), "{text}");
    }
    let error = solve("top 1 Depends: libfooo\nlibfoo 1\n", &["top"]).unwrap_err();
    let Error::Unsatisfiable { missing, .. } = &error else { panic!("{error}") };
    assert_eq!((&*missing[0].name, &*missing[0].near), ("libfooo", &["libfoo".to_owned()][..]), "{error}");
}

/// A suite of several: `archive suite packages`.
#[derive(Clone, Copy)]
struct Shelf<'a> {
    archive: &'a str,
    suite: &'a str,
    automatic: Automatic,
    /// `packages:` of a repository.
    only: Option<&'a [&'a str]>,
    packages: &'a str,
}

const MAIN: Shelf<'_> =
    Shelf { archive: "debian", suite: "bookworm", automatic: Automatic::Yes, only: None, packages: "" };

/// `name version archive` of what is chosen.
fn choose(shelves: &[Shelf<'_>], asked: &[&str]) -> Result<Vec<String>, Error> {
    let texts: Vec<String> = shelves.iter().map(|shelf| packages(shelf.packages)).collect();
    let suites = shelves.iter().zip(&texts).map(|(shelf, text)| {
        let only = shelf.only.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let publisher = match shelf.archive {
            "debian" => Publisher::Distribution,
            _ => Publisher::Repository(only),
        };
        let mut suite = PoolSuite::new(shelf.archive, shelf.suite, publisher, shelf.automatic);
        suite.add(index::parse(text, "amd64"));
        suite
    });
    let asked: BTreeSet<String> = asked.iter().map(|name| (*name).to_owned()).collect();
    let request = Request {
        packages: &asked,
        kernel: None,
        components: &BTreeSet::new(),
        provided: &BTreeMap::new(),
        recommends: false,
        needs: &[],
    };
    let pool = Pool::new(suites.collect(), "amd64", &request);
    let chosen = resolve(&pool, &request)?;
    let name = |c: &sledos::apt::resolve::Chosen<'_>| {
        format!("{} {} {}", c.record.name, c.record.version, shelves[c.suite].suite)
    };
    Ok(chosen.iter().map(name).collect())
}

#[test]
fn backports_give_what_is_asked_from_them_and_what_that_needs() {
    let main = Shelf {
        packages: "curl 1 Depends: libc\nlibc 1\npodman 1 Depends: libc\nnet 1\nx 1 Depends: libc (>= 2) | net",
        ..MAIN
    };
    let backports = Shelf {
        suite: "bpo",
        automatic: Automatic::Upgrades,
        packages: "curl 2 Depends: libc\nlibc 2\npodman 2 Depends: common (>= 2), net\ncommon 2\nnet 2\nnew 2 Depends: net",
        ..MAIN
    };
    let choose = |asked: &[&str]| choose(&[main, backports], asked).unwrap();
    assert_eq!(choose(&["curl", "podman"]), ["curl 1 bookworm", "libc 1 bookworm", "podman 1 bookworm"]);
    // An alternative that would need a newer version from there is none.
    assert_eq!(choose(&["x"]), ["net 1 bookworm", "x 1 bookworm"]);
    let from = ["common 2 bpo", "curl 1 bookworm", "libc 1 bookworm", "net 1 bookworm", "podman 2 bpo"];
    assert_eq!(choose(&["curl", "podman/bpo"]), from);
    // As in apt: what nobody else has comes from there.
    assert_eq!(choose(&["new"]), ["net 1 bookworm", "new 2 bpo"]);
}

#[test]
fn what_is_asked_from_a_suite_brings_newer_versions_only_where_it_must() {
    let main = Shelf { packages: "a 1 Depends: lib\nlib 1\nother 1", ..MAIN };
    let backports = Shelf {
        suite: "bpo",
        automatic: Automatic::No,
        packages: "a 2 Depends: lib (>= 2), other\nlib 2 Depends: deep (>= 2)\ndeep 2\nother 2",
        ..MAIN
    };
    assert_eq!(
        choose(&[main, backports], &["a/bpo"]).unwrap(),
        ["a 2 bpo", "deep 2 bpo", "lib 2 bpo", "other 1 bookworm"]
    );
}

#[test]
fn a_repository_replaces_nothing_and_brings_nothing_unasked() {
    let main = Shelf {
        packages: "bash 1 Essential: yes\ncurl 1 Depends: ssl | tls\nssl 1\nmawk 1 Provides: awk\nuser 1 Depends: awk",
        ..MAIN
    };
    let site = Shelf {
        archive: "site",
        suite: "stable",
        packages: "bash 9 Essential: yes\ncurl 9\nssl 9\ntool 9 Depends: lib, ssl\nlib 9\n\
            evil 9 Essential: yes; Provides: awk, ssl; Priority: required\nmawk 9\nnewer 9 Depends: ssl (>= 9)",
        ..MAIN
    };
    let with = |only: Option<&'static [&'static str]>, asked: &[&str]| {
        choose(&[main, Shelf { only, ..site }], asked)
    };
    let plain = with(None, &["curl", "tool", "user"]).unwrap();
    let expected = "bash 1 bookworm,curl 1 bookworm,lib 9 stable,mawk 1 bookworm,ssl 1 bookworm,\
        tool 9 stable,user 1 bookworm";
    assert_eq!(plain.join(","), expected);
    // By name it may.
    let named = with(None, &["curl/site"]).unwrap();
    assert_eq!(named, ["bash 1 bookworm", "curl 9 stable"]);
    let listed = with(Some(&["curl", "tool", "lib"]), &["curl", "tool"]).unwrap();
    assert_eq!(
        listed,
        ["bash 1 bookworm", "curl 9 stable", "lib 9 stable", "ssl 1 bookworm", "tool 9 stable"]
    );
    let listed = with(Some(&["bash"]), &["curl"]).unwrap();
    assert_eq!(listed, ["bash 9 stable", "curl 1 bookworm", "ssl 1 bookworm"]);

    // What is kept out is named where it would have helped.
    let error = with(None, &["newer"]).unwrap_err().to_string();
    assert!(error.contains("site stable has ssl 9") && error.contains("ask for `ssl/site`"), "{error}");
    let error = with(Some(&["tool"]), &["tool"]).unwrap_err().to_string();
    assert!(error.contains("site stable has lib 9"), "{error}");
    assert!(matches!(with(Some(&["gone"]), &["curl"]), Err(Error::NotInRepository { .. })));
    let error = with(None, &["curl/elsewhere"]).unwrap_err().to_string();
    assert!(error.contains("It has: bookworm, site"), "{error}");
    assert!(matches!(with(None, &["user/site"]), Err(Error::UnknownPackage { .. })));
}

#[test]
fn a_wanted_package_that_cannot_be_used_says_why() {
    let text = packages("good 1").replace("\n\n", "\n")
        + "\nPackage: bad\nVersion: 1\nArchitecture: amd64\nFilename: bad.deb\nSize: 1\n";
    let mut suite = PoolSuite::new("debian", "bookworm", Publisher::Distribution, Automatic::Yes);
    suite.add(index::parse(&text, "amd64"));
    let asked = BTreeSet::from(["bad".to_owned()]);
    let request = Request {
        packages: &asked,
        kernel: None,
        components: &BTreeSet::new(),
        provided: &BTreeMap::new(),
        recommends: false,
        needs: &[],
    };
    let error = resolve(&Pool::new(vec![suite], "amd64", &request), &request).unwrap_err().to_string();
    assert!(error.contains("debian bookworm lists bad") && error.contains("no valid SHA256"), "{error}");
}

#[test]
fn what_a_component_depends_on_comes_in_or_is_named() {
    let text = packages("a 1\nlibx 2\nliby 1 Provides: virt\nlibz 1");
    let with = |depends: &str| {
        let provided = BTreeMap::from([("own".to_owned(), String::new())]);
        let mut suite = PoolSuite::new("debian", "bookworm", Publisher::Distribution, Automatic::Yes);
        suite.add(index::parse(&text, "amd64"));
        let needs = [sledos::apt::resolve::Need { component: "agent".into(), depends: depends.into() }];
        let request = Request {
            packages: &BTreeSet::from(["a".to_owned()]),
            kernel: None,
            components: &BTreeSet::new(),
            provided: &provided,
            recommends: false,
            needs: &needs,
        };
        let pool = Pool::new(vec![suite], "amd64", &request);
        let chosen = resolve(&pool, &request)?;
        Ok::<_, Error>(
            chosen.iter().map(|c| format!("{} < {}", c.record.name, c.because.join(" "))).collect(),
        )
    };
    let all: Vec<String> = with("libx (>= 2), none | virt, own (>= 9)").unwrap();
    assert_eq!(all, ["a < recipe", "libx < component", "liby < component"]);
    for (depends, entry) in [("libx (>= 3)", "libx (>= 3)"), ("gone | away", "gone | away")] {
        let Err(Error::ComponentNeed { component, entry: says }) = with(depends) else { panic!("{depends}") };
        assert_eq!((component.as_str(), says.as_str()), ("agent", entry));
    }
}
