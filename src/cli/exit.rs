//! The exit codes: part of the interface, for scripts and units. README's table is compared with this one.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// It did what it was asked for. Also when the reader of its output went away.
    Ok,
    /// It failed; the reason is on standard error.
    Failed,
    /// The command line is wrong (clap's own code).
    Usage,
    /// The configuration or the key file is wrong.
    Config,
    /// The agent cannot be reached on its socket.
    Unreachable,
    /// Everything was shown, and something in it needs attention.
    Attention,
}

impl Exit {
    /// All of them, by their numbers.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Failed, Self::Usage, Self::Config, Self::Unreachable, Self::Attention];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Config => 3,
            Self::Unreachable => 4,
            Self::Attention => 5,
        }
    }

    /// What it means, for `--help` and README.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done; also when the reader of the output went away",
            Self::Failed => {
                "failed; the reason is on standard error; `explain --replay`: there is a difference"
            }
            Self::Usage => "the command line is wrong",
            Self::Config => "the configuration or the key file is wrong",
            Self::Unreachable => "the agent cannot be reached on its socket",
            Self::Attention => "`status`: something needs attention",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table, as `standin --help` ends with it.
pub(super) fn help() -> String {
    let mut text = "Exit codes:\n".to_owned();
    for exit in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {}  {}", exit.code(), exit.meaning());
    }
    text
}
