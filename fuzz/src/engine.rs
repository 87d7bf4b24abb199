//! Runs a target: counts, and what must not happen.

use crate::mutate::{Random, mutate};
use crate::targets::Target;
use std::collections::HashSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One input may take so long; a boot waits for none of these.
const PATIENCE: Duration = Duration::from_secs(10);
/// Inputs that answered something new, at most.
const POOL: usize = 4096;

/// What a run did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Inputs that were run.
    pub executions: u64,
    /// Different answers.
    pub answers: usize,
    /// Inputs in the corpus.
    pub corpus: usize,
    /// The slowest input.
    pub slowest: Duration,
    /// How long all of it took.
    pub time: Duration,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// After so many inputs,
    pub executions: u64,
    /// or so long.
    pub time: Duration,
}

/// Inputs that are kept for a target.
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// Runs a target on its corpus and on inputs made of it.
///
/// # Errors
/// The first input that made it panic, which was saved, and where. A hang ends the
/// process, with the input saved likewise.
pub fn run(target: &'static Target, seed: u64, limits: Limits) -> Result<Counts, String> {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus(target))
        .map_err(|e| format!("{}: {e}", corpus(target).display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    files.sort();
    let mut pool: Vec<Vec<u8>> = files.iter().filter_map(|file| fs::read(file).ok()).collect();
    let mut counts = Counts { corpus: pool.len(), ..Counts::default() };
    let mut seen: HashSet<u64> = HashSet::new();
    let mut random = Random::new(seed);
    let watch = Watch::start(target);
    let begin = Instant::now();

    let first = pool.clone();
    pool.push(Vec::new());
    for input in &first {
        seen.insert(watch.execute(target, input, &mut counts)?);
    }
    let mut input = Vec::new();
    while counts.executions < limits.executions {
        if counts.executions.is_multiple_of(256) && begin.elapsed() >= limits.time {
            break;
        }
        // Half of the time the corpus itself: it is small and good.
        let all = if random.below(2) == 0 { pool.len() } else { first.len().max(1) };
        let (one, other) = (random.below(all), random.below(pool.len()));
        input.clone_from(&pool[one]);
        mutate(&mut input, &pool[other], target.words, target.most, &mut random);
        let answer = watch.execute(target, &input, &mut counts)?;
        if seen.insert(answer) && pool.len() < POOL {
            pool.push(input.clone());
        }
    }
    counts.answers = seen.len();
    counts.time = begin.elapsed();
    Ok(counts)
}

/// Sees to it that a hang does not go on unseen.
struct Watch {
    current: Arc<Mutex<Vec<u8>>>,
    done: Arc<AtomicU64>,
}

impl Watch {
    fn start(target: &'static Target) -> Self {
        let watch = Self { current: Arc::default(), done: Arc::default() };
        let (current, done) = (Arc::downgrade(&watch.current), Arc::clone(&watch.done));
        std::thread::spawn(move || {
            loop {
                let before = done.load(Ordering::Relaxed);
                std::thread::sleep(PATIENCE);
                // The run is over.
                let Some(current) = current.upgrade() else { return };
                if done.load(Ordering::Relaxed) == before && before > 0 {
                    let input = current.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    eprintln!("{}: longer than {PATIENCE:?}: {}", target.name, save(target, &input));
                    std::process::exit(3);
                }
            }
        });
        watch
    }

    /// Runs one input. Returns what stands in for the way it took.
    fn execute(&self, target: &Target, input: &[u8], counts: &mut Counts) -> Result<u64, String> {
        if let Ok(mut current) = self.current.lock() {
            current.clear();
            current.extend_from_slice(input);
        }
        let begin = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        counts.slowest = counts.slowest.max(begin.elapsed());
        counts.executions += 1;
        self.done.store(counts.executions, Ordering::Relaxed);
        answer.map_err(|_| format!("{} panicked on {}", target.name, save(target, input)))
    }
}

/// Saves an input, and says where.
fn save(target: &Target, input: &[u8]) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    let path = dir.join(format!("{}-{}", target.name, input.len()));
    let saved = fs::create_dir_all(&dir).and_then(|()| fs::write(&path, input));
    saved.map_or_else(|e| format!("{} ({e})", path.display()), |()| path.display().to_string())
}
