//! One connection to Asterisk, from login to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::follow::{Act, Follow};
use super::{note, tell};
use crate::agent::asterisk::Registration;
use crate::agent::clock;
use crate::agent::shell::{Shell, Wanted, World};
use crate::cluster::{GroupId, NodeId, Tally, Time};
use crate::config::{Asterisk, Group, Registrations};
use crate::service::ami::{AmiError, Client};

/// Calls are counted so often.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// Registrations that are awaited are looked at so often; others every [`LOOK_EVERY`].
const AWAIT_EVERY: Duration = Duration::from_millis(200);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The note of `status` about registrations.
const WHAT: &str = "registrations";

/// What is kept from one connection to the next.
pub(super) struct Conversation<'a> {
    shell: &'a Shell,
    group: GroupId,
    settings: &'a Group,
    world: &'a World,
    wanted: watch::Receiver<Wanted>,
    follow: Follow,
    tally: Tally,
    /// What the peers were told.
    told: Tally,
    /// What each peer last said of what it has taken back.
    elsewhere: BTreeMap<NodeId, Option<u8>>,
    serves: Option<bool>,
    counted_at: Option<Time>,
    looked_at: Option<Time>,
    /// Of this tenure: everything was registered, which was logged.
    all_registered: bool,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(shell: &'a Shell, group: GroupId, settings: &'a Group, world: &'a World) -> Self {
        Self {
            shell,
            group,
            settings,
            world,
            wanted: world.wanted.subscribe(),
            follow: Follow::default(),
            tally: Tally::default(),
            told: Tally::default(),
            elsewhere: BTreeMap::new(),
            serves: None,
            counted_at: None,
            looked_at: None,
            all_registered: false,
        }
    }

    /// Until the connection ends, or Asterisk does not answer.
    pub(super) async fn hold(&mut self, mut client: Client) -> AmiError {
        let mut booted = None;
        (self.counted_at, self.looked_at) = (None, None);
        loop {
            let now = clock::now();
            self.turn(now);
            if booted != client.booted() {
                booted = client.booted();
                self.follow.found(booted.and_then(|it| it.uptime), now);
            }
            // Before that not all modules are there.
            let follows = |it: &Asterisk| it.registrations == Registrations::Auto;
            let looks = booted.is_some() && self.settings.asterisk.as_ref().is_some_and(follows);
            let done = async {
                if self.is_due(self.counted_at, COUNT_EVERY, now) {
                    self.count(&mut client, now).await?;
                }
                let again = looks && self.taken_back_elsewhere().await;
                if again {
                    self.looked_at = None;
                }
                let every = if self.follow.awaits() { AWAIT_EVERY } else { LOOK_EVERY };
                if looks && self.is_due(self.looked_at, every, now) {
                    self.look(&mut client, again, now).await?;
                }
                Ok(())
            };
            if let Err(error) = done.await {
                return error;
            }
            let pause = if looks && self.follow.awaits() { AWAIT_EVERY } else { COUNT_EVERY };
            tokio::select! {
                changed = self.wanted.changed() => match changed {
                    Ok(()) => self.looked_at = None,
                    Err(_) => sleep(pause).await,
                },
                event = client.event() => match event {
                    // FullyBooted, Registry: there is something to see.
                    Ok(event) if event.is("Event", "FullyBooted") || event.is("Event", "Registry") => {
                        self.looked_at = None;
                    }
                    Ok(_) => {}
                    Err(error) => return error,
                },
                () = sleep(pause) => {}
            }
        }
    }

    /// There is no Asterisk any more, or none that answers.
    pub(super) fn ended(&mut self) {
        if let Some(calls) = self.tally.calls.take().filter(|it| *it > 0) {
            let group = &self.settings.name;
            tracing::warn!(
                id = "calls-gone",
                group,
                "AMI is gone; {calls} channels were up when it was last asked"
            );
        }
        tell(self.shell, self.group, &mut self.told, self.tally);
        self.world.asterisk.saw(Vec::new());
    }

    fn is_due(&self, last: Option<Time>, every: Duration, now: Time) -> bool {
        last.is_none_or(|at| now.since(at) >= every)
    }

    /// Has this node become active, or standby?
    fn turn(&mut self, now: Time) {
        let serves = self.wanted.borrow_and_update().serves();
        if serves == self.serves {
            return;
        }
        if self.serves == Some(true)
            && let Some(calls) = self.tally.calls.filter(|it| *it > 0)
        {
            let group = &self.settings.name;
            tracing::warn!(
                id = "calls-left",
                group,
                calls,
                "{calls} channels were up here when the group went to another node: their calls are lost"
            );
        }
        self.serves = serves;
        self.all_registered = false;
        self.follow.turn(serves, now);
    }

    async fn count(&mut self, client: &mut Client, now: Time) -> Result<(), AmiError> {
        self.counted_at = Some(now);
        match client.core_status().await {
            Ok(status) => {
                self.tally.calls = Some(u16::try_from(status.channels).unwrap_or(u16::MAX));
                tell(self.shell, self.group, &mut self.told, self.tally);
            }
            // It says so to everybody while it ends.
            Err(AmiError::Refused { why, .. }) if why.contains("shutting down") => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks at the registrations, and does what is to be done about them.
    async fn look(&mut self, client: &mut Client, again: bool, now: Time) -> Result<(), AmiError> {
        self.looked_at = Some(now);
        let list = match client.registrations().await {
            Ok(list) => list,
            Err(AmiError::Refused { why, .. }) => {
                note(self.world, WHAT, Some(format!("they cannot be seen: {why}")));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut acts = self.follow.seen(&list, now);
        if again {
            acts.extend(self.follow.taken_back_elsewhere(now));
        }
        let took_back = acts.iter().any(|act| matches!(act, Act::Unregister { .. }));
        let mut refused = None;
        for act in acts {
            match self.carry_out(client, act).await {
                Err(AmiError::Refused { action, why }) => refused = Some(format!("{action}: {why}")),
                other => other?,
            }
        }
        if took_back {
            self.tally.unregistered = Some(another(self.tally.unregistered));
            tell(self.shell, self.group, &mut self.told, self.tally);
        }
        note(self.world, WHAT, refused.or_else(|| self.follow.problem(now)));
        self.show();
        Ok(())
    }

    async fn carry_out(&self, client: &mut Client, act: Act) -> Result<(), AmiError> {
        let group = &self.settings.name;
        match act {
            Act::Register(name) => {
                tracing::info!(id = "registering", group, "{name} is to be registered from here");
                client.register(&name).await
            }
            Act::Unregister { name, stray: true } => {
                tracing::warn!(
                    id = "unregistering",
                    group,
                    "{name} was registered again from this standby: taken back"
                );
                client.unregister(&name).await
            }
            Act::Unregister { name, stray: false } => {
                tracing::info!(
                    id = "unregistering",
                    group,
                    "{name} is not to be registered from this standby"
                );
                client.unregister(&name).await
            }
            Act::Registered { name, took } => {
                let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                tracing::info!(id = "registered", group, took_ms, "{name} is registered, after {took:?}");
                Ok(())
            }
        }
    }

    /// Whether a peer has taken something back since it was last heard to. What it says before this node serves is of
    /// before this node's own registrations.
    async fn taken_back_elsewhere(&mut self) -> bool {
        let Some(look) = self.shell.heart.look().await else { return false };
        let mut news = false;
        for peer in &look.snapshot.peers {
            let Some(report) = peer.reports.iter().find(|it| it.group == self.group) else { continue };
            let said = report.tally.unregistered;
            let before = self.elsewhere.insert(peer.node, said);
            let new = before.map_or(self.serves == Some(true), |before| before != said);
            news |= said.is_some() && new;
        }
        news
    }

    fn show(&mut self) {
        let now = clock::now();
        let seen: Vec<Registration> = self
            .follow
            .all()
            .map(|(name, one)| Registration {
                name: name.clone(),
                state: one.state.clone(),
                since: one.since.unwrap_or(now),
                took_ms: one.took.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            })
            .collect();
        let longest = seen.iter().map(|it| it.took_ms).collect::<Option<Vec<_>>>();
        if self.serves == Some(true)
            && !self.all_registered
            && let Some(longest) = longest.and_then(|it| it.into_iter().max())
        {
            self.all_registered = true;
            let (group, all) = (&self.settings.name, seen.len());
            tracing::info!(
                id = "all-registered",
                group,
                took_ms = longest,
                "all {all} outbound registrations are registered, after {longest} ms"
            );
        }
        self.world.asterisk.saw(seen);
    }
}

/// Another number than this one.
fn another(than: Option<u8>) -> u8 {
    let mut random = [0];
    // Without one the next will do: it only has to be another.
    let random = getrandom::fill(&mut random).map_or(0, |()| random[0]);
    if than == Some(random) { random.wrapping_add(1) } else { random }
}
