//! What a service does, in words that fit a unit, commands and an OCF agent alike.

use std::fmt;

use super::cgroup::Cgroup;

/// What a service does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Nobody could say: why. It never counts for or against the service.
    Unknown(String),
    /// It runs; what it says that it lacks.
    Runs {
        /// It works, but not as it should (OCF 190, 191): why.
        degraded: Option<String>,
    },
    /// Somebody is starting it: an operator, or systemd by the unit's own `Restart=`.
    Starts,
    /// Somebody is stopping it.
    Stops,
    /// It does not run, and did not fail.
    Stopped,
    /// It does not run, or does not work: why.
    Failed(String),
}

/// What is seen of a service, by who watches it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sight {
    /// What it does.
    pub state: State,
    /// How often it has died since it is watched, as far as that can be told from one look to the next: a restart by
    /// systemd itself may be over before anybody looks.
    pub deaths: u64,
    /// How it died last.
    pub death: Failure,
    /// What it needs on this node and does not find (an OCF agent's `validate-all`).
    pub unfit: Option<String>,
    /// The last request that a look has answered, by its number.
    pub answers: u64,
    /// Where its processes are, and whether the machine's boot starts it; units only.
    pub unit: Option<Shown>,
}

/// What systemd knows about a unit besides its state.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// Its cgroup: where it is, or where it will be.
    pub cgroup: Cgroup,
    /// systemd starts it when the machine boots.
    pub at_boot: bool,
}

/// What may help against a failure, as Pacemaker sorts them ("OCF Return Codes").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seriousness {
    /// Another try on this node.
    Soft,
    /// Another node.
    Hard,
    /// Neither: what is wrong is wrong everywhere, so that a group that moves would move to the same failure.
    Fatal,
}

/// Why a service could not be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// What may help.
    pub kind: Seriousness,
    /// Nobody could say whether it started: it may run.
    pub unknown: bool,
}

impl State {
    /// Whether it runs; `None`: unknown, or on its way.
    pub fn runs(&self) -> Option<bool> {
        match self {
            Self::Runs { .. } => Some(true),
            Self::Stopped | Self::Failed(_) => Some(false),
            Self::Unknown(_) | Self::Starts | Self::Stops => None,
        }
    }
}

impl Default for Sight {
    fn default() -> Self {
        let state = State::Unknown("nobody has looked yet".to_owned());
        Self { state, deaths: 0, death: Failure::soft(""), unfit: None, answers: 0, unit: None }
    }
}

impl Failure {
    /// One that another try may mend.
    pub fn soft(why: impl Into<String>) -> Self {
        Self::of(why, Seriousness::Soft)
    }

    /// A failure of this kind.
    pub fn of(why: impl Into<String>, kind: Seriousness) -> Self {
        Self { why: why.into(), kind, unknown: false }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}
