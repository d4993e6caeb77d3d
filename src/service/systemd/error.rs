//! Why something could not be done with a unit.

use std::fmt;
use std::time::Duration;

/// Why something could not be done with a unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UnitError {
    /// There is no way to systemd.
    NoBus(String),
    /// systemd did not answer within this.
    NoAnswer {
        /// What it was to do.
        what: String,
        /// How long it had.
        after: Duration,
    },
    /// A job of systemd's had not ended within this; it goes on.
    TooLate {
        /// "start", "stop".
        what: &'static str,
        /// Of which unit.
        unit: String,
        /// How long it had.
        after: Duration,
    },
    /// systemd refuses.
    Failed {
        /// What it was to do.
        what: String,
        /// What it said.
        said: String,
    },
    /// A job of systemd's has ended otherwise than it should.
    Job {
        /// "start", "stop".
        what: &'static str,
        /// Of which unit.
        unit: String,
        /// How the job ended: "failed", "timeout", "dependency", "canceled", "skipped", "done".
        result: String,
        /// What systemd says of the unit after it.
        why: String,
    },
    /// systemd does not have the unit: its `LoadState`.
    NotThere {
        /// Which.
        unit: String,
        /// "not-found", "masked", "bad-setting".
        state: String,
    },
    /// What systemd says of its cgroup makes no sense.
    Cgroup(String),
    /// It was killed, and so many processes are still there.
    StillThere {
        /// Which.
        unit: String,
        /// How many.
        processes: usize,
    },
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBus(why) => write!(f, "systemd cannot be reached over D-Bus: {why}"),
            Self::NoAnswer { what, after } => {
                write!(f, "no answer to {what} within {}", humantime::format_duration(*after))
            }
            Self::TooLate { what, unit, after } => {
                let after = humantime::format_duration(*after);
                write!(f, "{unit} did not {what} within {after}; `journalctl -u {unit}` says more")
            }
            Self::Failed { what, said } => write!(f, "{what} failed: {}", said.escape_debug()),
            Self::Job { what, unit, result, why } => write!(
                f,
                "{unit} did not {what}: {}, {why}; `journalctl -u {unit}` says more",
                job_words(result)
            ),
            Self::NotThere { unit, state } => write!(
                f,
                "systemd has no usable unit {unit} ({state}): `systemctl status {unit}` says more; group.service.unit \
                 names it"
            ),
            Self::Cgroup(text) => f.write_str(text),
            Self::StillThere { unit, processes } => {
                write!(f, "{unit} was killed, and {processes} of its processes are still there")
            }
        }
    }
}

impl std::error::Error for UnitError {}

/// How a job ended (JobRemoved in org.freedesktop.systemd1(5)), in words.
fn job_words(result: &str) -> String {
    match result {
        "done" | "skipped" => "systemd's job is done, but it does not run",
        "failed" => "systemd's job failed",
        "timeout" => "systemd's job timed out",
        "canceled" => "systemd's job was canceled by another one",
        "dependency" => "a unit that it depends on failed",
        "assert" => "an assertion of the unit is not met",
        other => return format!("systemd's job ended with {}", other.escape_debug()),
    }
    .to_owned()
}
