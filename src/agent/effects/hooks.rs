//! The promote and demote hooks: once per transition, one after the other, never two at a time.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::service::Pace;
use super::world::Reached;
use crate::agent::clock;
use crate::agent::shell::{HookRun, Shell, Wanted};
use crate::agent::timeline::Step;
use crate::cluster::{Event, GroupId, ServiceFailure};
use crate::config::{Group, Hook, HookEvent, HookFailure, HookWhen};
use crate::service::hooks::{About, run};

/// A service, or a promote hook, starts with the guest's addresses there, so that it can bind to them; but it
/// does not wait longer than this.
const FOR_ADDRESSES: Duration = Duration::from_millis(250);
/// The heart says why within a turn of its own; a hook does not wait longer for that.
const FOR_REASONS: Duration = Duration::from_millis(100);

/// What the hooks wait for, and who waits for them.
pub(super) struct Around {
    /// The guest's addresses.
    pub(super) guest: watch::Receiver<u64>,
    /// The service.
    pub(super) service: watch::Receiver<u64>,
    /// For the service: the hooks before it have run.
    pub(super) before: Reached,
    /// All have run.
    pub(super) all: Reached,
}

/// Runs the hooks of a group for as long as the agent runs. The first wish after a start counts as a
/// transition too: nobody knows in which state the last agent left the service, so hooks must be repeatable.
pub(super) async fn keep(shell: Arc<Shell>, group: GroupId, mut around: Around) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut serving = None;
    loop {
        let wish = *wanted.borrow_and_update();
        if let Some(serves) = wish.serves()
            && serving != Some(serves)
        {
            serving = Some(serves);
            let transition = Transition { shell: &shell, group, serves, wanted: wanted.clone() };
            transition.run(settings, wish.change, &mut around).await;
            if transition.is_over() {
                // Whoever waits for this change waits for it in vain.
                serving = None;
                continue;
            }
            if serves {
                shell.timeline.done(group, Step::Hooks, clock::now());
            }
        }
        around.before.send_replace(wish.change);
        around.all.send_replace(wish.change);
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// The hooks of a group that run on one side of its service.
pub(super) fn of(settings: &Group, serves: bool, when: HookWhen) -> impl Iterator<Item = &Hook> {
    let event = if serves { HookEvent::Promote } else { HookEvent::Demote };
    settings.hooks.iter().filter(move |hook| hook.on == event && hook.when == when)
}

/// A node becomes active, or standby.
struct Transition<'a> {
    shell: &'a Shell,
    group: GroupId,
    serves: bool,
    wanted: watch::Receiver<Wanted>,
}

impl Transition<'_> {
    async fn run(&self, settings: &Group, change: u64, around: &mut Around) {
        if self.serves && !settings.hooks.is_empty() {
            addresses(&mut around.guest, change).await;
        }
        let well = self.run_all(of(settings, self.serves, HookWhen::Before)).await;
        if self.is_over() {
            return;
        }
        around.before.send_replace(change);
        if !well || of(settings, self.serves, HookWhen::After).next().is_none() {
            return;
        }
        // The service first, however long it takes, unless something else is wanted by then.
        let mut wanted = self.wanted.clone();
        loop {
            // The same may be wanted anew, with another number: the service waits for that one.
            around.before.send_replace(wanted.borrow_and_update().change);
            tokio::select! {
                _reached = around.service.wait_for(|reached| *reached >= change) => break,
                () = self.over() => return,
                changed = wanted.changed() => if changed.is_err() {
                    return;
                },
            }
        }
        self.run_all(of(settings, self.serves, HookWhen::After)).await;
    }

    /// Runs these hooks, one after the other. Answers whether the others are to run.
    async fn run_all(&self, hooks: impl Iterator<Item = &Hook>) -> bool {
        for hook in hooks {
            let mut pace = Pace::default();
            loop {
                // What was true when the first one started may not be true any more.
                if self.is_over() {
                    return false;
                }
                if run_one(self.shell, self.group, hook).await || hook.on_failure == HookFailure::Ignore {
                    break;
                }
                if !self.serves {
                    // Whatever it could not undo: this node stands by.
                    return false;
                }
                // It is a part of the start. Nobody may take over: then it is tried again, as the service is.
                let how = ServiceFailure::Start;
                self.shell.heart.event(Event::ServiceFailed { group: self.group, how });
                tokio::select! {
                    () = tokio::time::sleep(pace.started(clock::now())) => {}
                    () = self.over() => return false,
                }
            }
        }
        true
    }

    /// Whether something else is wanted.
    fn is_over(&self) -> bool {
        self.wanted.borrow().serves() != Some(self.serves)
    }

    /// Waits until it is.
    async fn over(&self) {
        drop(self.wanted.clone().wait_for(|wish| wish.serves() != Some(self.serves)).await);
    }
}

/// Waits for the guest's addresses of this change.
pub(super) async fn addresses(guest: &mut watch::Receiver<u64>, change: u64) {
    let there = guest.wait_for(|reached| *reached >= change);
    drop(tokio::time::timeout(FOR_ADDRESSES, there).await);
}

/// Runs one hook. Answers whether it ended well.
async fn run_one(shell: &Shell, group: GroupId, hook: &Hook) -> bool {
    let Some((_, world)) = shell.group(group) else { return false };
    let about = About {
        cluster: shell.names.cluster.clone(),
        group: shell.names.group(group).to_owned(),
        node: shell.names.node(shell.me).to_owned(),
    };
    let started = clock::now();
    let ended = run(hook, &about, input(shell, group, hook).await).await;
    let at = clock::now();
    let took = at.since(started);
    let (event, program) = (hook.on.word(), hook.run.first().cloned().unwrap_or_default());
    let text = format!("the {event} hook {program} {ended}");
    let name = shell.names.group(group);
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if ended.is_well() {
        tracing::info!(id = "hook-ran", group = name, took_us, "{text}");
        shell.errors.worked("hook");
    } else {
        shell.errors.failed("hook", &text, &format!("{name}: {text}"));
    }
    let mut seen = world.seen();
    seen.note(&format!("hook {program}"), (!ended.is_well()).then(|| text.clone()));
    seen.hook_ran(HookRun { event, program, well: ended.is_well(), end: ended.to_string(), took_us, at });
    ended.is_well()
}

/// What a hook may read from standard input: one JSON object. Within a version it is only added to.
async fn input(shell: &Shell, group: GroupId, hook: &Hook) -> String {
    let look = tokio::time::timeout(FOR_REASONS, shell.heart.look()).await.ok().flatten();
    let view = look.as_ref().and_then(|look| look.snapshot.groups.iter().find(|it| it.group == group));
    let about = json!({
        "version": 1,
        "event": hook.on.word(),
        "when": hook.when.word(),
        "cluster": shell.names.cluster,
        "group": shell.names.group(group),
        "node": shell.names.node(shell.me),
        "term": view.map(|it| it.term),
        "row": view.map(|it| it.reason.0.number()),
        "reason": view.map(|it| shell.names.text(&it.reason.1)),
    });
    format!("{about}\n")
}
