//! Apt is the reference: the same repositories, of every shape that is met in the field, are
//! given to apt and to `sledos lock` over HTTP, and both must take the same files.
//!
//! Where we differ on purpose the shape says why, and the test fails when that is no longer so.

mod apt;
mod shapes;
mod site;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use sledos::apt::fetch::{Patience, Silent};
use sledos::apt::release::Clock;
use sledos::apt::{LockRequest, resolve_recipe};
use sledos::recipe::model::Repository;
use tempfile::TempDir;

use crate::apt::recipe::recipe;
use crate::apt::repo::Key;
use crate::apt::server::{Manner, Server};
use shapes::{Role, Shape};
use site::Site;

/// What is asked for in every shape: a recipe has a kernel.
pub(super) const KERNEL: &str = "linux-image-amd64";

/// The files that would be installed, by their path on the server; or why none.
type Outcome = Result<BTreeSet<String>, String>;

/// Everything that the shapes share.
struct Bench {
    root: TempDir,
    server: Server,
    key: Key,
    stranger: Key,
}

impl Bench {
    fn url(&self, dir: &str) -> String {
        format!("{}/{dir}", self.server.url)
    }

    fn keyring(&self) -> std::path::PathBuf {
        self.root.path().join("keyring.gpg")
    }
}

#[test]
fn what_apt_takes_sledos_takes() {
    let root = TempDir::new().unwrap();
    let server = Server::start(root.path(), |_| Manner::Good);
    let bench = Bench { root, server, key: Key::lasting(), stranger: Key::lasting() };
    fs::write(bench.keyring(), bench.key.export(false)).unwrap();
    shapes::base(&mut Site::new(&bench, "base", "bookworm"));
    let shapes = shapes::all();
    let names: BTreeSet<&str> = shapes.iter().map(|shape| shape.name).collect();
    assert_eq!(names.len(), shapes.len(), "two shapes of one name");

    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(shape) = shapes.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Some(problem) = compare(&bench, shape) {
                        wrong.lock().unwrap().push(problem);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let differ = shapes.iter().filter(|shape| shape.differs.is_some()).count();
    println!("{} shapes, {differ} with a difference that is meant", shapes.len());
    assert!(wrong.is_empty(), "{} of {} shapes:\n\n{}", wrong.len(), shapes.len(), wrong.join("\n\n"));
}

/// What is wrong with a shape.
fn compare(bench: &Bench, shape: &Shape) -> Option<String> {
    (shape.make)(&mut Site::new(bench, shape.name, shape.suite));
    let apt = apt::takes(bench, shape);
    let ours = sledos_takes(bench, shape);
    let same = match (&apt, &ours) {
        (Ok(apt), Ok(ours)) => apt == ours,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    let shown =
        format!("{} (asked: {})\n  apt: {apt:?}\n  sledos: {ours:?}", shape.name, shape.asked.join(" "));
    let verdict = |outcome: &Outcome| outcome.as_ref().map_or("refused", |_| "taken");
    println!("{:45} apt: {:8} sledos: {}", shape.name, verdict(&apt), verdict(&ours));
    match shape.differs {
        None if !same => Some(shown),
        Some(why) if same => Some(format!("{shown}\n  no longer differs: {why}")),
        _ => None,
    }
}

fn sledos_takes(bench: &Bench, shape: &Shape) -> Outcome {
    let dir = TempDir::new().unwrap();
    let mut recipe = recipe(dir.path(), &bench.keyring(), shape.asked);
    let mut mirrors = vec![bench.url("base")];
    match shape.role {
        Role::Repository => recipe.repositories.push(Repository {
            name: "site".into(),
            url: bench.url(shape.name),
            suite: shape.suite.into(),
            components: shape.components.iter().map(|name| (*name).to_owned()).collect(),
            packages: None,
            keyring: bench.keyring(),
        }),
        Role::Suite => {
            recipe.debian.extra_suites.push(shape.suite.into());
            mirrors.push(bench.url(shape.name));
        }
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let request = LockRequest {
        recipe: &recipe,
        mirrors: &mirrors,
        etc_apt: Path::new("/nonexistent"),
        cache: dir.path(),
        clock: Clock { now: now.as_secs().try_into().unwrap(), archived: false },
        patience: Patience::default(),
        output: None,
        needs: &[],
    };
    let lock = resolve_recipe(&request, &Silent).map_err(|error| {
        let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
        format!("{error}{}", source.unwrap_or_default())
    })?;
    let place = |package: &sledos::lock::model::Package| {
        let of_base = bench.root.path().join("base").join(&package.path).exists();
        let theirs = lock.releases[package.release].archive == "site" || !of_base;
        normal(&format!("{}/{}", if theirs { shape.name } else { "base" }, package.path))
    };
    Ok(lock.packages.iter().filter(|package| package.name != KERNEL).map(place).collect())
}

/// A path without empty parts and `.`, which servers pass over.
fn normal(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}
