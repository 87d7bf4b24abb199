//! Exit codes, and the one place that prints errors. `docs/exit-codes.md` says the
//! same for people.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use yaml::diagnostic::Diagnostics;

/// How `sledos` ends. Scripts may rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Reading or writing failed, the disk is full, or the builder has a bug.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A mistake in a recipe, an overlay, a component, a fleet file or a vendor's sheet.
    Recipe = 3,
    /// A server could not be reached, or does not have what it should.
    Network = 4,
    /// A signature or a hash is not what it should be.
    Verification = 5,
    /// The packages asked for cannot be had together, or the lock is stale.
    Dependencies = 6,
    /// The image would break its contract: a NIC without driver or firmware, a budget
    /// exceeded, a partition too small.
    Contract = 7,
    /// `sledos diff` found that two things are not the same.
    Different = 8,
    /// Ended by Ctrl-C or a termination signal (128 + SIGINT, as shells do).
    Interrupted = 130,
}

impl Exit {
    /// All of them, in order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failure,
        Self::Usage,
        Self::Recipe,
        Self::Network,
        Self::Verification,
        Self::Dependencies,
        Self::Contract,
        Self::Different,
        Self::Interrupted,
    ];

    /// The number.
    pub fn code(self) -> u8 {
        // A fieldless enum with `repr(u8)`: nothing is cut off.
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What an error means to the caller of `sledos`.
pub trait Classify: Error {
    /// The exit code.
    fn exit(&self) -> Exit;

    /// What to do about it, when the message does not say so already.
    fn hint(&self) -> Option<String> {
        None
    }
}

impl Classify for Diagnostics {
    fn exit(&self) -> Exit {
        Exit::Recipe
    }
}

/// Any classified error; `?` makes it.
#[derive(Debug)]
pub struct Failure(Box<dyn Classify + Send + Sync>);

impl<E: Classify + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// Writes the error, what caused it and what to do, and returns the exit code.
    /// That the place to write to is gone is no further error.
    pub fn print(&self, to: &mut dyn Write) -> Exit {
        let mut text = format!("error: {}\n", self.0);
        let mut cause = self.0.source();
        while let Some(error) = cause {
            text += &format!("  because: {error}\n");
            cause = error.source();
        }
        if let Some(hint) = self.0.hint() {
            text += &format!("  hint: {hint}\n");
        }
        // What is wrong is often what somebody else wrote.
        to.write_all(yaml::shown::lines(&text).as_bytes()).ok();
        self.exit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read a.deb")]
    struct Outer(#[source] std::io::Error);

    impl Classify for Outer {
        fn exit(&self) -> Exit {
            Exit::Verification
        }
        fn hint(&self) -> Option<String> {
            Some("fetch it again".to_owned())
        }
    }

    #[test]
    fn prints_the_chain_once() {
        let failure = Failure::from(Outer(std::io::Error::other("too short")));
        let mut out = Vec::new();
        assert_eq!(failure.print(&mut out).code(), 5);
        let want = "error: cannot read a.deb\n  because: too short\n  hint: fetch it again\n";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn the_documentation_lists_every_code() {
        let doc = include_str!("../../docs/exit-codes.md");
        for exit in Exit::ALL {
            assert!(
                doc.contains(&format!("| {} | `{exit:?}` |", exit.code())),
                "{exit:?} in docs/exit-codes.md"
            );
        }
        assert_eq!(doc.lines().filter(|l| l.starts_with("| ")).count(), Exit::ALL.len() + 1);
    }
}
