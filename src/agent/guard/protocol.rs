//! What agent and guard say to each other: one JSON object per datagram.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cluster::Time;

/// Grows when an older guard would misunderstand.
pub(super) const VERSION: u32 = 1;
/// Longer than any datagram of ours: 32 groups with long names.
pub(super) const LONGEST: usize = 64 << 10;

/// To the guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Question {
    pub(super) version: u32,
    /// Comes back in the answer.
    pub(super) n: u64,
    pub(super) ask: Ask,
}

/// What the guard is asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Only what it sees.
    Look,
    /// From now on, this.
    Guard(Order),
    /// End, if nothing is guarded.
    End,
}

/// What is to happen to a group's service.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Order {
    /// The group's name.
    pub group: String,
    /// Its unit, "asterisk.service".
    pub unit: String,
    /// Where the unit's processes are, below the hierarchy's root.
    pub cgroup: String,
    /// From this moment on nothing runs in it: nanoseconds of CLOCK_BOOTTIME. `None`: it is not guarded.
    pub until: Option<u64>,
}

/// From the guard.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// The question's number.
    pub n: u64,
    /// The guard's process.
    pub pid: u32,
    /// The version of its program: an agent of another version replaces a guard that guards nothing.
    pub program: String,
    /// Why it does not do what it was told.
    pub refused: Option<String>,
    /// What it guards.
    pub watched: Vec<Watched>,
}

/// One guarded group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Watched {
    /// The group's name.
    pub group: String,
    /// Until when its service may run.
    pub until: u64,
    /// When the guard began to kill it, if it has.
    pub fired_at: Option<u64>,
    /// How many processes it has killed.
    pub killed: usize,
    /// What went wrong with that.
    pub trouble: Option<String>,
}

/// A time, as it is said.
pub fn nanos(time: Time) -> u64 {
    time.since(Time::ZERO).as_nanos().try_into().unwrap_or(u64::MAX)
}

/// The guard's socket: beside the agent's, so that each agent has its own.
pub fn socket_beside(agents: &Path) -> PathBuf {
    agents.with_extension("guard")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stays_as_it_is() {
        let order = Order {
            group: "ivr".into(),
            unit: "asterisk.service".into(),
            cgroup: "/system.slice/asterisk.service".into(),
            until: Some(7),
        };
        let question = Question { version: 1, n: 3, ask: Ask::Guard(order) };
        let text = serde_json::to_string(&question).unwrap();
        // A guard outlives the agent that started it: a later agent must be understood by an earlier guard.
        assert_eq!(
            text,
            "{\"version\":1,\"n\":3,\"ask\":{\"guard\":{\"group\":\"ivr\",\"unit\":\"asterisk.service\",\
             \"cgroup\":\"/system.slice/asterisk.service\",\"until\":7}}}"
        );
        assert_eq!(serde_json::from_str::<Question>(&text).unwrap(), question);
        let more = text.replace("\"n\":3", "\"n\":3,\"later\":true");
        assert_eq!(serde_json::from_str::<Question>(&more).unwrap(), question);
    }

    #[test]
    fn each_agent_has_a_guard_of_its_own() {
        assert_eq!(
            socket_beside(Path::new("/run/standin/standin.sock")),
            Path::new("/run/standin/standin.guard")
        );
    }
}
