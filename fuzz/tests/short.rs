//! Every target for a moment: no panic, no hang. The long runs are in docs/fuzzing.md.

use fuzz::engine::{Limits, run};
use fuzz::targets::ALL;
use std::time::Duration;

#[test]
fn no_target_panics_or_hangs() {
    let limits = Limits { executions: u64::MAX, time: Duration::from_secs(3) };
    for target in ALL {
        let counts = run(target, 1, limits).unwrap_or_else(|found| panic!("{found}"));
        println!("{}: {counts:?}", target.name);
        assert!(counts.corpus > 0, "{} has no corpus", target.name);
        // One that answers always the same looks at nothing.
        assert!(counts.answers > 1, "{} answers always the same", target.name);
    }
}
