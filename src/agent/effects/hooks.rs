//! The promote and demote hooks: once per transition, one after the other, never two at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::world::Reached;
use crate::agent::clock;
use crate::agent::shell::{HookRun, Shell};
use crate::agent::timeline::Step;
use crate::cluster::GroupId;
use crate::config::{Hook, HookEvent};
use crate::service::hooks::{About, run};

/// A service, or a promote hook, starts with the guest's addresses there, so that it can bind to them; but it
/// does not wait longer than this.
const FOR_ADDRESSES: Duration = Duration::from_millis(250);

/// Runs the hooks of a group for as long as the agent runs. The first wish after a start counts as a
/// transition too: nobody knows in which state the last agent left the service, so hooks must be repeatable.
pub(super) async fn keep(
    shell: Arc<Shell>,
    group: GroupId,
    [mut guest, mut service]: [watch::Receiver<u64>; 2],
    reached: Reached,
) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut serving = None;
    loop {
        let wish = *wanted.borrow_and_update();
        if let Some(serves) = wish.serves()
            && serving != Some(serves)
        {
            serving = Some(serves);
            let event = if serves { HookEvent::Promote } else { HookEvent::Demote };
            let hooks: Vec<&Hook> = settings.hooks.iter().filter(|hook| hook.on == event).collect();
            if serves && !hooks.is_empty() {
                addresses(&mut guest, wish.change).await;
                // The service first, however long it takes, unless it is no longer wanted.
                let mut wanted = wanted.clone();
                tokio::select! {
                    _started = service.wait_for(|reached| *reached >= wish.change) => {}
                    _changed = wanted.wait_for(|wish| wish.serves() != Some(true)) => {}
                }
            }
            for hook in hooks {
                // What was true when the first one started may not be true any more.
                if wanted.borrow().serves() == Some(serves) {
                    run_one(&shell, group, hook).await;
                }
            }
            if serves {
                shell.timeline.done(group, Step::Hooks, clock::now());
            }
        }
        reached.send_replace(wish.change);
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Waits for the guest's addresses of this change.
pub(super) async fn addresses(guest: &mut watch::Receiver<u64>, change: u64) {
    let there = guest.wait_for(|reached| *reached >= change);
    drop(tokio::time::timeout(FOR_ADDRESSES, there).await);
}

async fn run_one(shell: &Shell, group: GroupId, hook: &Hook) {
    let Some((_, world)) = shell.group(group) else { return };
    let about = About {
        cluster: shell.names.cluster.clone(),
        group: shell.names.group(group).to_owned(),
        node: shell.names.node(shell.me).to_owned(),
    };
    let started = clock::now();
    let ended = run(hook, &about, String::new()).await;
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
}
