//! What Debian's relations mean for the choice of packages.

use std::collections::{BTreeMap, BTreeSet};

use sledos::apt::index;
use sledos::apt::resolve::{Error, Pool, PoolSuite, Request, resolve};

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
            crate::repo::sha256(format!("{name} {version}").as_bytes())
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
        let suite = PoolSuite { records: index::parse(&text, "amd64").unwrap() };
        let pool = Pool::new(vec![suite], "amd64", &provided);
        let request = Request {
            packages: &asked,
            kernel: None,
            components: &BTreeSet::new(),
            provided: &provided,
            recommends: self.recommends,
            needs: &[],
        };
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
    assert_eq!(*missing, [("libfooo".to_owned(), vec!["libfoo".to_owned()])], "{error}");
}

#[test]
fn what_a_component_depends_on_comes_in_or_is_named() {
    let text = packages("a 1\nlibx 2\nliby 1 Provides: virt\nlibz 1");
    let with = |depends: &str| {
        let provided = BTreeMap::from([("own".to_owned(), String::new())]);
        let suite = PoolSuite { records: index::parse(&text, "amd64").unwrap() };
        let pool = Pool::new(vec![suite], "amd64", &provided);
        let needs = [sledos::apt::resolve::Need { component: "agent".into(), depends: depends.into() }];
        let request = Request {
            packages: &BTreeSet::from(["a".to_owned()]),
            kernel: None,
            components: &BTreeSet::new(),
            provided: &provided,
            recommends: false,
            needs: &needs,
        };
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
