//! What a configuration says about the service of a group, and about the programs that run around it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Arbiter;

/// The service of a group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// How it is started and stopped.
    pub run: Run,
    /// What it does on a standby.
    pub standby: Standby,
    /// It has failed to start when it has not started after so long.
    pub start_timeout: Duration,
    /// It is killed when it has not stopped after so long.
    pub stop_timeout: Duration,
    /// So often its state is asked for, where nobody tells when it changes.
    pub status_every: Duration,
}

impl Service {
    /// What it is called: "asterisk.service", "/usr/local/bin/svc", "ocf:heartbeat:asterisk".
    pub fn name(&self) -> String {
        match &self.run {
            Run::Unit(unit) => unit.clone(),
            Run::Commands(commands) => commands.start.first().cloned().unwrap_or_default(),
            Run::Ocf(ocf) => format!("ocf:{}:{}", ocf.provider, ocf.agent),
        }
    }

    /// The systemd unit that it is, if it is one.
    pub fn unit(&self) -> Option<&str> {
        match &self.run {
            Run::Unit(unit) => Some(unit),
            Run::Commands(_) | Run::Ocf(_) => None,
        }
    }
}

/// How a service is started and stopped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Run {
    /// A systemd unit, "asterisk.service".
    Unit(String),
    /// Programs of the operator's.
    Commands(Commands),
    /// An OCF resource agent.
    Ocf(Ocf),
}

/// Programs, each with its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Commands {
    /// Starts it.
    pub start: Vec<String>,
    /// Stops it.
    pub stop: Vec<String>,
    /// Says by its exit code whether it runs (LSB: 0 yes, 3 no).
    pub status: Vec<String>,
}

/// An OCF resource agent, below /usr/lib/ocf/resource.d.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ocf {
    /// "heartbeat".
    pub provider: String,
    /// "asterisk".
    pub agent: String,
    /// Its parameters, without OCF_RESKEY_.
    pub parameters: BTreeMap<String, String>,
}

/// What the service does on a standby.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standby {
    /// It runs.
    Warm,
    /// It is stopped.
    Cold,
}

impl Standby {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

/// A program that runs when this node becomes active (promote) or standby (demote).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hook {
    /// On what.
    pub on: HookEvent,
    /// On which side of the service's start or stop.
    pub when: HookWhen,
    /// Program and arguments.
    pub run: Vec<String>,
    /// It is killed after this.
    pub timeout: Duration,
    /// What it means when it fails.
    pub on_failure: HookFailure,
}

/// On what a hook runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookEvent {
    /// This node becomes active.
    Promote,
    /// This node becomes standby.
    Demote,
}

impl HookEvent {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Demote => "demote",
        }
    }
}

/// On which side of the service's start (promote) or stop (demote) a hook runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HookWhen {
    /// Before it.
    Before,
    /// After it.
    After,
}

impl HookWhen {
    /// What holds when it is not written: what is built last is taken down first, but a lease waits for nobody.
    pub const fn usual(on: HookEvent, arbiter: Arbiter) -> Self {
        match (on, arbiter) {
            (HookEvent::Demote, Arbiter::Ec2) => Self::Before,
            (HookEvent::Promote, _) | (HookEvent::Demote, Arbiter::Dynamodb) => Self::After,
        }
    }

    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// What a failing hook means.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HookFailure {
    /// It is shown and logged.
    #[default]
    Ignore,
    /// Besides, the hooks after it do not run; at a promotion the service counts as not started.
    Stop,
}

impl HookFailure {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ignore => "ignore",
            Self::Stop => "stop",
        }
    }
}
