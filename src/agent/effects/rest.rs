//! Everything of a group in EC2 but the anchor itself: taken by the anchor's holder, repaired for as long
//! as it is that, and looked at by the others for `status`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::world::Reached;
use crate::agent::clock;
use crate::agent::shell::{Holder, Shell, Wanted, World};
use crate::agent::timeline::Step;
use crate::cluster::{GroupId, Time};
use crate::config::{Group, Resource};
use crate::resource::{Ending, Held, Here, Outcome, Piece, Run, acquire_pieces, acquire_rest, observe};

/// The holder looks so often whether everything is still in its place.
const REPAIR_EVERY: Duration = Duration::from_secs(10);
/// After a change of our own EC2's reads may lag so long.
const READS_LAG: Duration = Duration::from_secs(5);
/// A standby looks so often.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A taken anchor is fresh for so long: then the rest is taken without asking where it is.
const FRESH: Duration = Duration::from_secs(10);
/// One round ends after this; what has failed until then is tried again in the next one.
const ROUND: Duration = Duration::from_secs(10);

/// Keeps the rest of a group for as long as the agent runs.
pub(super) async fn keep(shell: Arc<Shell>, group: GroupId, reached: Reached) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut here = shell.here.subscribe();
    let mut rest = Rest { shell: &shell, group, settings, world, wanted: wanted.clone(), changed_at: None };
    let mut served = false;
    loop {
        let wish = *wanted.borrow_and_update();
        if !wish.repairs() {
            reached.send_replace(wish.change);
        }
        if wish.serves() == Some(false) {
            if served {
                (shell.way_changed)();
            }
            served = false;
            rest.changed_at = None;
        }
        let known = here.borrow_and_update().clone();
        let pause = match known {
            Some(here) if wish.repairs() => {
                let pause = rest.repair(&here, !served).await;
                served = true;
                reached.send_replace(wish.change);
                pause
            }
            Some(here) => {
                rest.look(&here).await;
                LOOK_EVERY
            }
            None => LOOK_EVERY,
        };
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            changed = here.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

struct Rest<'a> {
    shell: &'a Shell,
    group: GroupId,
    settings: &'a Group,
    world: &'a World,
    wanted: watch::Receiver<Wanted>,
    /// When a call of ours last changed something.
    changed_at: Option<Time>,
}

impl Rest<'_> {
    /// One round. Answers when the next one is to come.
    async fn repair(&mut self, here: &Here, first: bool) -> Duration {
        let shell = self.shell;
        let took_at = self.world.seen().took_at;
        let now = clock::now();
        if first && took_at.is_some_and(|at| now.since(at) < FRESH) {
            let run = self.wanted.clone();
            let still = move || run.borrow().repairs() && shell.is_awake();
            let run = Run {
                cloud: self.shell.cloud.as_ref(),
                here,
                still: &still,
                now: &clock::now,
                deadline: now + ROUND,
            };
            let outcomes = acquire_rest(run, &self.settings.resources, self.settings.anchor).await;
            self.took(&outcomes);
            self.shell.timeline.done(self.group, Step::Rest, clock::now());
            // The address from which we reach EC2 may be another one now; the calls that matter are through.
            (self.shell.way_changed)();
            return READS_LAG;
        }
        if let Some(at) = self.changed_at
            && now.since(at) < READS_LAG
        {
            return READS_LAG.saturating_sub(now.since(at));
        }
        let missing = self.look(here).await;
        if missing.is_empty() {
            return REPAIR_EVERY;
        }
        let run = self.wanted.clone();
        let still = move || run.borrow().repairs() && shell.is_awake();
        let run = Run {
            cloud: self.shell.cloud.as_ref(),
            here,
            still: &still,
            now: &clock::now,
            deadline: clock::now() + ROUND,
        };
        let outcomes = acquire_pieces(run, &missing).await;
        self.took(&outcomes);
        READS_LAG
    }

    /// Asks EC2 about everything but the anchor; answers what is not here.
    async fn look(&self, here: &Here) -> Vec<(&str, Vec<Piece>)> {
        let resources = self.settings.resources.iter().enumerate();
        let reads = resources.map(async |(place, resource)| {
            (place, resource.name(), observe(self.shell.cloud.as_ref(), resource, here).await)
        });
        let mut missing = Vec::new();
        for (place, name, read) in futures_util::future::join_all(reads).await {
            let pieces = match read {
                Ok(pieces) => pieces,
                Err(error) => {
                    self.shell.failed(&error);
                    self.world.seen().note(name, Some(error.to_string()));
                    continue;
                }
            };
            self.noticed(place, &pieces);
            for (piece, held) in &pieces {
                if held.is_ok() {
                    self.shell.errors.worked(reading(piece));
                }
            }
            let unread =
                pieces.iter().find_map(|(piece, held)| Some(format!("{piece}: {}", held.as_ref().err()?)));
            // The anchor itself is the core's; what rides on it is ours.
            let skip = usize::from(place == self.settings.anchor);
            let elsewhere = pieces.into_iter().skip(skip).filter_map(|(piece, held)| match held {
                Ok(Held::Here) => None,
                Ok(Held::Elsewhere(_) | Held::Nowhere) => Some(piece),
                Err(error) => {
                    self.shell.failed(&error);
                    None
                }
            });
            let elsewhere: Vec<Piece> = elsewhere.collect();
            if let Some(why) = unread {
                self.world.seen().note(name, Some(why));
            } else if elsewhere.is_empty() || !self.wanted.borrow().repairs() {
                // What failed once is in its place now, or another node's to take.
                self.world.seen().note(name, None);
            }
            if !elsewhere.is_empty() {
                missing.push((name, elsewhere));
            }
        }
        missing
    }

    /// What a read says about a resource, for `status`.
    fn noticed(&self, place: usize, pieces: &[(Piece, Result<Held, crate::cloud::CloudError>)]) {
        let me = self.shell.names.node(self.shell.me);
        let mut holders: Vec<String> = Vec::new();
        let mut problem = None;
        for (piece, held) in pieces {
            let holder = match held {
                Ok(Held::Here) => me.to_owned(),
                Ok(Held::Elsewhere(id)) => self.shell.holder_name(id),
                Ok(Held::Nowhere) => "nobody".to_owned(),
                Err(error) => {
                    problem = Some(error.to_string());
                    continue;
                }
            };
            if holders.last().is_some_and(|last| *last != holder) {
                problem.get_or_insert_with(|| format!("{piece} is with {holder}"));
            }
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        if holders.is_empty() {
            return;
        }
        let holder = Holder { who: holders.join(", "), at: clock::now(), problem };
        if let Some(slot) = self.world.seen().holders.get_mut(place) {
            *slot = Some(holder);
        }
    }

    /// What our own calls have brought about.
    fn took(&mut self, outcomes: &[Outcome]) {
        let now = clock::now();
        self.changed_at = Some(now);
        let group = self.shell.names.group(self.group);
        let mut failing: BTreeMap<&str, Option<String>> = BTreeMap::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.ending != Ending::Yielded) {
            let entry = failing.entry(&outcome.resource).or_default();
            match &outcome.ending {
                Ending::Here => {
                    let took_us = u64::try_from(outcome.finished.as_micros()).unwrap_or(u64::MAX);
                    let (resource, piece) = (&outcome.resource, &outcome.piece);
                    tracing::info!(id = "resource-here", group, took_us, "{resource} ({piece}) is here");
                }
                Ending::Yielded => {}
                Ending::Failed(error) => {
                    self.shell.failed(error);
                    *entry = Some(format!("{}: {error}", outcome.piece));
                }
            }
        }
        // What was left because somebody else holds the anchor now is not here, nor does it fail.
        for outcome in outcomes.iter().filter(|outcome| outcome.ending == Ending::Yielded) {
            failing.remove(outcome.resource.as_str());
        }
        let me = self.shell.names.node(self.shell.me).to_owned();
        let mut seen = self.world.seen();
        for (name, failure) in failing {
            let place = self.settings.resources.iter().position(|it| it.name() == name);
            if let Some(slot) = place.and_then(|place| seen.holders.get_mut(place))
                && failure.is_none()
            {
                *slot = Some(Holder { who: me.clone(), at: now, problem: None });
            }
            if failure.is_none()
                && let Some(resource) = place.and_then(|place| self.settings.resources.get(place))
            {
                taking(resource).iter().for_each(|action| self.shell.errors.worked(action));
            }
            seen.note(name, failure);
        }
    }
}

/// The call that reads a piece.
fn reading(piece: &Piece) -> &'static str {
    match piece {
        Piece::ElasticIp { .. } => "DescribeAddresses",
        Piece::PrivateIp { .. } => "DescribeNetworkInterfaces",
        Piece::Route { .. } => "DescribeRouteTables",
    }
}

/// The calls that take a resource.
fn taking(resource: &Resource) -> &'static [&'static str] {
    match resource {
        Resource::ElasticIp(_) => &["AssociateAddress"],
        Resource::PrivateIp(_) => &["AssignPrivateIpAddresses", "AssociateAddress"],
        Resource::Route(_) => &["ReplaceRoute", "CreateRoute"],
    }
}
