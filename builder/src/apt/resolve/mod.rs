//! Which packages an image needs: the SAT solver of `resolvo` over Debian's
//! relations. What is asked from a suite wins, then the highest version; an alternative
//! written first wins, a real package wins over one that provides the name.

mod admit;
mod asked;
mod because;
mod pool;
mod solve;

use std::collections::{BTreeMap, BTreeSet};

pub use admit::Publisher;
pub use asked::Asked;
pub use pool::{Pool, PoolSuite};

use super::index::Record;
use super::relation;

/// What to resolve.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// See [`Asked`].
    pub packages: &'a BTreeSet<String>,
    /// The kernel's package.
    pub kernel: Option<&'a str>,
    /// Packages of components: wanted when some suite has them.
    pub components: &'a BTreeSet<String>,
    /// Names that count as installed in every version, and never are.
    pub provided: &'a BTreeMap<String, String>,
    /// Whether Recommends are followed, where that is possible.
    pub recommends: bool,
    /// What components depend on that are given as files.
    pub needs: &'a [Need],
}

/// What a component that is a Debian package depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name.
    pub component: String,
    /// Its `Depends`.
    pub depends: String,
}

impl Request<'_> {
    /// What is asked for by name.
    fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        let packages = self.packages.iter().chain(self.components).map(String::as_str);
        self.kernel.into_iter().chain(packages).map(Asked::parse)
    }
}

/// A name of a conflict that is not there, or not in every version that some suite lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The package.
    pub name: String,
    /// Whether no version of it is there.
    pub unknown: bool,
    /// Why suites do not give what they list.
    pub why: Vec<String>,
    /// Names that look like it.
    pub near: Vec<String>,
}

/// A package that is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// Its stanza.
    pub record: &'a Record<'a>,
    /// Index of its suite, in the order given to [`Pool::new`].
    pub suite: usize,
    /// The shortest way from a root, without the package itself:
    /// `["recipe", "docker.io"]`.
    pub because: Vec<String>,
}

/// Why a request cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Asked for by name, but in no suite.
    #[error("there is no package `{name}` in {place}.{}{}", lines(why), did_you_mean(near))]
    UnknownPackage {
        /// As asked.
        name: String,
        /// `the suites of the recipe`, or the one it was asked from.
        place: String,
        /// Why suites do not give what they list.
        why: Vec<String>,
        /// Names that look like it.
        near: Vec<String>,
    },
    /// Asked for by a name that only others provide.
    #[error("`{name}` is a virtual package. Ask for one that provides it: {}", providers.join(", "))]
    VirtualPackage {
        /// As asked.
        name: String,
        /// Who provides it.
        providers: Vec<String>,
    },
    /// A component depends on something no suite has.
    #[error("the component {component} needs {entry}, which no suite of the recipe has")]
    ComponentNeed {
        /// The component.
        component: String,
        /// The entry of its `Depends`.
        entry: String,
    },
    /// Asked for in a version no suite has.
    #[error("there is no version {version} of {name}. There is: {}", exist.join(", "))]
    UnknownVersion {
        /// As asked.
        name: String,
        /// As asked.
        version: String,
        /// Versions that exist.
        exist: Vec<String>,
    },
    /// Asked from a suite that is none of the recipe's.
    #[error("`{asked}`: the recipe has no such suite or repository. It has: {}", exist.join(", "))]
    UnknownRelease {
        /// As asked.
        asked: String,
        /// Suites and repositories that exist.
        exist: Vec<String>,
    },
    /// `packages:` of a repository names what it does not have.
    #[error("the repository {repository} has no package `{name}`, which its `packages:` names")]
    NotInRepository {
        /// The repository.
        repository: String,
        /// The package.
        name: String,
    },
    /// Asked for, and at the same time said to be provided by the image.
    #[error("`{name}` is asked for and stands under `provided:`, too. Remove it from one of them")]
    AskedAndProvided {
        /// As asked.
        name: String,
    },
    /// The relations leave no solution.
    #[error("these packages cannot be in one image:\n{explanation}{}", missing_names(missing))]
    Unsatisfiable {
        /// The chain, one line per step.
        explanation: String,
        /// Names in it that no suite has, or not every version of.
        missing: Vec<Missing>,
    },
}

/// Up to three packages with a name like `name`.
fn near(name: &str, pool: &Pool<'_>) -> Vec<String> {
    let others = pool.names().filter(|other| *other != name);
    yaml::nearest::near(name, others).into_iter().take(3).map(str::to_owned).collect()
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!(" Did you mean {}?", near.join(" or ")),
    }
}

fn lines(why: &[String]) -> String {
    why.iter().map(|why| format!("\n{why}.")).collect()
}

fn missing_names(missing: &[Missing]) -> String {
    let line = |missing: &Missing| match (missing.unknown, missing.why.as_slice()) {
        (true, []) => {
            format!("\nNo suite of the recipe has `{}`.{}", missing.name, did_you_mean(&missing.near))
        }
        (_, why) => lines(why),
    };
    missing.iter().map(line).collect()
}

/// A package that has to be in, and on whose behalf.
#[derive(Clone, Debug)]
struct Root {
    /// `recipe`, `kernel`, `component`, `essential`.
    because: &'static str,
    /// Candidates, any of which will do.
    candidates: Vec<u32>,
    /// For messages: `curl`, `curl (= 1.0)`.
    text: String,
}

/// Chooses packages, sorted by name.
pub fn resolve<'a>(pool: &'a Pool<'a>, request: &Request<'_>) -> Result<Vec<Chosen<'a>>, Error> {
    for suite in pool.suites() {
        let Publisher::Repository(Some(packages)) = &suite.publisher else { continue };
        let has = |name: &String| {
            pool.named(name)
                .iter()
                .any(|id| pool.suites().get(pool.get(*id).suite).is_some_and(|its| std::ptr::eq(its, suite)))
        };
        if let Some(name) = packages.iter().find(|name| !has(name) && !request.provided.contains_key(*name)) {
            return Err(Error::NotInRepository { repository: suite.archive.clone(), name: name.clone() });
        }
    }
    let roots = roots(pool, request)?;
    let chosen = solve::solve(pool, &roots, request)?;
    let because = because::chains(pool, &roots, &chosen, request.recommends);
    let mut result: Vec<Chosen<'a>> = chosen
        .iter()
        .zip(because)
        .map(|(id, because)| {
            let candidate = pool.get(*id);
            Chosen { record: &candidate.record, suite: candidate.suite, because }
        })
        .collect();
    result.sort_by_key(|chosen| chosen.record.name);
    Ok(result)
}

/// In the order that decides ties of `because`.
fn roots(pool: &Pool<'_>, request: &Request<'_>) -> Result<Vec<Root>, Error> {
    let mut roots = Vec::new();
    for name in pool.essential() {
        roots.push(Root {
            because: "essential",
            candidates: pool.named(name).to_vec(),
            text: name.to_owned(),
        });
    }
    let kernel = request.kernel.map(|name| (name, "kernel"));
    let asked = request.packages.iter().map(|name| (name.as_str(), "recipe"));
    for (asked, because) in kernel.into_iter().chain(asked) {
        roots.push(Root { because, candidates: asked_for(pool, asked, request)?, text: asked.to_owned() });
    }
    for name in request.components {
        let candidates = pool.named(name).to_vec();
        if !candidates.is_empty() {
            roots.push(Root { because: "component", candidates, text: name.clone() });
        }
    }
    for need in request.needs {
        roots.extend(needed(pool, need, request)?);
    }
    Ok(roots)
}

/// A root for each entry of a component's `Depends` that the image does not provide itself.
fn needed(pool: &Pool<'_>, need: &Need, request: &Request<'_>) -> Result<Vec<Root>, Error> {
    let no = |entry: String| Error::ComponentNeed { component: need.component.clone(), entry };
    let entries = relation::parse(&need.depends).map_err(|malformed| no(malformed.0))?;
    let open =
        entries.iter().filter(|entry| !entry.iter().any(|atom| request.provided.contains_key(atom.name)));
    let mut roots = Vec::new();
    for entry in open {
        let text = entry.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let candidates: Vec<u32> =
            entry.iter().flat_map(|atom| pool.matching(atom)).flat_map(|(_, ids)| ids).collect();
        if candidates.is_empty() {
            return Err(no(text));
        }
        roots.push(Root { because: "component", candidates, text });
    }
    Ok(roots)
}

fn asked_for(pool: &Pool<'_>, text: &str, request: &Request<'_>) -> Result<Vec<u32>, Error> {
    let asked = Asked::parse(text);
    let name = asked.name;
    if request.provided.contains_key(name) {
        return Err(Error::AskedAndProvided { name: name.to_owned() });
    }
    let from = |id: &u32| pool.suites().get(pool.get(*id).suite);
    let wanted = |suite: &PoolSuite<'_>| asked.release.is_none_or(|release| suite.is_called(release));
    if !pool.suites().iter().any(wanted) && asked.release.is_some() {
        let exist = pool.suites().iter().map(|suite| match suite.publisher {
            Publisher::Distribution => suite.suite.clone(),
            Publisher::Repository(_) => suite.archive.clone(),
        });
        return Err(Error::UnknownRelease { asked: asked.to_string(), exist: exist.collect() });
    }
    let mut candidates = pool.named(name);
    candidates.retain(|id| from(id).is_some_and(wanted));
    if candidates.is_empty() {
        let providers = pool.provider_names(name);
        return Err(if providers.is_empty() || asked.release.is_some() {
            let place = asked.release.unwrap_or("the suites of the recipe").to_owned();
            let (why, near) = (pool.why_not(name), near(name, pool));
            let near = if why.is_empty() { near } else { Vec::new() };
            Error::UnknownPackage { name: name.to_owned(), place, why, near }
        } else {
            Error::VirtualPackage { name: name.to_owned(), providers }
        });
    }
    let Some(version) = asked.version else { return Ok(candidates) };
    let text = |id: &u32| pool.get(*id).record.version;
    let exact: Vec<u32> = candidates.iter().copied().filter(|id| text(id) == version).collect();
    if exact.is_empty() {
        let exist = candidates.iter().map(|id| text(id).to_owned()).collect();
        return Err(Error::UnknownVersion { name: name.to_owned(), version: version.to_owned(), exist });
    }
    Ok(exact)
}
