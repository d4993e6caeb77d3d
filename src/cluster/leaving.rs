//! The end of the process: hand over, say goodbye (or "back in 10 s"), end; each step in bounded time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Cluster;
use super::command::Command;
use super::event::Shutdown;
use super::heartbeat::Role;
use super::node::GroupId;
use super::notice::Level;
use super::time::Time;

/// How long the last word is repeated before the process ends without an acknowledgement.
pub(super) const FAREWELL: Duration = Duration::from_millis(500);
/// How long a stopping agent waits for the offer's answer, and for its own service to stand down.
const HAND_OVER_BOUND: Duration = Duration::from_secs(15);

/// The process is ending.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(super) struct Leaving {
    pub(super) how: Shutdown,
    pub(super) since: Time,
    /// Everything is handed over or given up: goodbye or "back in 10 s" is being said.
    pub(super) farewell: Option<Time>,
    pub(super) ended: bool,
}

impl Cluster {
    pub(super) fn leave(&mut self, how: Shutdown, now: Time) {
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Leaving { how, since: now, farewell: None, ended: false });
        self.out.urgent = true;
        if how == Shutdown::Stop {
            // Maintenance changes nothing, so that an agent can be replaced under a running service.
            for group in self.groups.iter_mut().filter(|group| !group.memory.maintenance.on) {
                group.leaving = true;
            }
        }
        let text = match how {
            Shutdown::Stop if self.groups.iter().any(|group| group.memory.maintenance.on) => {
                "the agent stops: it hands over what it holds, but for groups in maintenance, which it leaves as \
                 they are; then it says goodbye"
            }
            Shutdown::Stop => "the agent stops: it hands over what it holds, then says goodbye",
            Shutdown::Restart => "the agent restarts: it leaves everything running and will be back",
        };
        self.tell(Level::Info, "stopping", text.into(), now);
    }

    /// Hands over, then says goodbye, then ends; each step in bounded time.
    pub(super) fn tend_leaving(&mut self, now: Time) {
        let Some(mut leaving) = self.leaving.filter(|leaving| !leaving.ended) else { return };
        if leaving.farewell.is_none() {
            let done = leaving.how == Shutdown::Restart || self.handed_over(leaving.since, now);
            if done {
                leaving.farewell = Some(now);
                self.out.urgent = true;
            }
        }
        if let Some(said) = leaving.farewell {
            let mut hearing = self.peers.iter().filter(|peer| peer.heard(now, &self.settings));
            if now > said && (now.since(said) >= FAREWELL || hearing.all(|peer| peer.farewell_seen)) {
                leaving.ended = true;
                self.out.commands.push_back(Command::Exit);
            }
        }
        self.leaving = Some(leaving);
    }

    /// Whether every group is with someone else, or nobody will take it, and our service stands down.
    fn handed_over(&mut self, since: Time, now: Time) -> bool {
        let waited = now.since(since);
        let mut done = true;
        let patience = self.settings.dead_after.max(Duration::from_secs(2));
        for at in 0..self.groups.len() {
            let id = GroupId(u8::try_from(at).unwrap_or(u8::MAX));
            self.with_group(id, now, |group, cx, out| {
                if !group.leaving || group.memory.maintenance.on {
                    return;
                }
                let answered = group.offer_answered();
                let hopeful = if answered { waited < HAND_OVER_BOUND } else { waited < patience };
                if group.role == Role::Active && !(hopeful && (answered || group.taker(cx).is_some())) {
                    group.give_up(cx, out);
                }
                let down = group.role == Role::Standby
                    && (group.desired.is_none() || (group.converged && group.has_given_back()));
                done &= down;
            });
        }
        done || waited >= HAND_OVER_BOUND
    }
}
