//! The images under test, built once per test run from the real mirror.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sledos::apt::fetch::Patience;
use sledos::apt::release::Clock;
pub use sledos::build::Request;
use sledos::build::{self, Built, Error};
use sledos::cache::Cache;
use sledos::output::Interrupt;
use sledos::progress::{Progress, Style};

/// The repository's top directory.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the workspace").to_owned()
}

/// A fast build of a shipped recipe into `output`, with its lock.
pub fn request(recipe: &str, output: &Path) -> Request {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is past 1970");
    Request {
        recipe: top().join("recipes").join(recipe),
        lock: None,
        locked: true,
        mirrors: Vec::new(),
        etc_apt: "/etc/apt".into(),
        cache: Cache::default_dir().expect("HOME or XDG_CACHE_HOME is set"),
        output: output.to_owned(),
        version: Some("test".to_owned()),
        components: Vec::new(),
        require_components: false,
        fast: true,
        compressed_disk: true,
        replace: true,
        time: None,
        jobs: None,
        clock: Clock { now: i64::try_from(now.as_secs()).expect("a time of this age"), archived: false },
        patience: Patience::default(),
    }
}

/// An image and the lock it was made from.
#[derive(Debug)]
pub struct Image {
    /// Where its artefacts are.
    pub dir: PathBuf,
    /// The lock.
    pub lock: PathBuf,
}

/// Builds it.
///
/// # Panics
/// When the build fails: this is test code, and that is the test's result.
pub fn build(request: Request) -> Built {
    build_with_lock(request).0
}

/// Builds it; returns the lock as well. Mirrors drop packages that a newer
/// version replaced: a lock that has become too old is made again beside the output.
///
/// # Panics
/// As [`build`].
pub fn build_with_lock(mut request: Request) -> (Built, PathBuf) {
    let progress = Progress::on_stderr(Style::Plain);
    let interrupt = Interrupt::new();
    let recipe = sledos::recipe::load(&request.recipe).expect("a shipped recipe is right");
    let built = match build::run(&request, &progress, &interrupt) {
        Err(Error::Fetch(gone)) => {
            progress.warn(format!("{gone}\nlocking again for this test"));
            std::fs::create_dir_all(&request.output).expect("the output directory can be made");
            request.lock = Some(request.output.join("test.lock"));
            build::lock(&request, &recipe, &progress, &interrupt)
                .expect("the mirror has some version of everything");
            build::run(&request, &progress, &interrupt)
        }
        other => other,
    };
    let built = built.unwrap_or_else(|error| {
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
        panic!("the build failed: {}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    });
    (built, request.lock.unwrap_or_else(|| sledos::lock::path_of(&recipe)))
}

/// The compute image with its lock, shared by all tests of a process. `scratch`
/// is where to build it.
pub fn compute_with_lock(scratch: &Path) -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let (built, lock) = build_with_lock(request("compute.yaml", &scratch.join("output")));
        Image { dir: built.dir, lock }
    })
}

/// Where the artefacts of the compute image are.
pub fn compute(scratch: &Path) -> &'static Path {
    &compute_with_lock(scratch).dir
}

/// The image of a request as another version, with further lines in its recipe and files in an
/// overlay; both are written below `dir`.
pub fn variant(
    mut request: Request,
    dir: &Path,
    version: &str,
    lines: &str,
    files: &[(&str, &str)],
) -> PathBuf {
    for (path, text) in files {
        let file = dir.join("overlays").join(version).join(path);
        std::fs::create_dir_all(file.parent().expect("it is below an overlay")).expect("there is room");
        std::fs::write(file, text).expect("there is room");
    }
    request.lock = request.lock.or_else(|| Some(request.recipe.with_extension("lock")));
    request.version = Some(version.to_owned());
    let overlay = if files.is_empty() { String::new() } else { format!("overlays: [{{name: {version}}}]\n") };
    let text = format!("include: ['{}']\nname: compute\n{overlay}{lines}", request.recipe.display());
    request.recipe = dir.join("recipes").join(format!("{version}.yaml"));
    std::fs::create_dir_all(dir.join("recipes")).expect("there is room");
    std::fs::write(&request.recipe, text).expect("there is room");
    build(request).dir
}
