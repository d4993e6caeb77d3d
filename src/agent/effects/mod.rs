//! What the core wants done, done: each wish is a task that ends in at most one event. The latest wish
//! counts; nothing here can keep the heart waiting.

mod calls;
mod checks;
mod fence;
mod guard;
mod guest;
mod hooks;
mod identity;
mod lease;
mod notify;
mod probe;
mod recovery;
mod rest;
mod service;
mod source;
mod store;
mod world;

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use super::heart::Word;
use super::shell::{Shell, Wanted};
use super::store::{State, Store};
use super::{notices, systemd};
use crate::cluster::{Command, Desired, Time};
pub use identity::WhoAmI;
#[cfg(feature = "dynamodb")]
pub(super) use lease::call_timeout as lease_call_timeout;
pub(super) use notify::keep_systemd_posted;
pub(super) use service::Ailing;

/// Starts what runs for as long as the agent does: identity, the groups' worlds.
pub(super) fn start(shell: &Arc<Shell>, who_am_i: WhoAmI, state: &State) {
    tokio::spawn(identity::learn(Arc::clone(shell), who_am_i));
    tokio::spawn(fence::watch(Arc::clone(shell)));
    tokio::spawn(source::clear_others(Arc::clone(shell)));
    for (group, settings) in shell.own_groups() {
        if let Some((_, world)) = shell.group(group) {
            let kept = state.groups.get(&settings.name);
            world.maintenance.send_replace(kept.is_some_and(|it| it.maintenance.on));
        }
        world::start(shell, group);
        checks::start(shell, group);
    }
    tokio::spawn(guard::keep(Arc::clone(shell)));
}

/// Carries out what the heart says until the heart has ended; then everything is on disk.
pub(super) async fn carry_out(
    shell: Arc<Shell>,
    mut words: UnboundedReceiver<Word>,
    store: Store,
    state: State,
) {
    let store = store::Writer::start(store, state, Arc::clone(&shell));
    while let Some(word) = words.recv().await {
        match word {
            Word::Do(at, command) => begin(&shell, &store, at, command),
            Word::Peer { node, instance, interfaces } => {
                shell.roster.heard(node, instance.as_deref(), &interfaces);
                shell.interfaces_of(node, &interfaces);
            }
            Word::Trouble { call, text } => shell.errors.failed(call, &text, &text),
        }
    }
    store.finish().await;
    let _told = systemd::stopping("the agent has ended");
}

fn begin(shell: &Arc<Shell>, store: &store::Writer, at: Time, command: Command) {
    let own = Arc::clone(shell);
    match command {
        // The heart sends and ends by itself.
        Command::Send(_) | Command::Exit => {}
        Command::ReadAnchor { group, call } => drop(tokio::spawn(calls::read_anchor(own, group, call))),
        Command::ReadInstance { node, call } => drop(tokio::spawn(calls::read_instance(own, node, call))),
        Command::TakeAnchor { group, call, from } => {
            drop(tokio::spawn(calls::take_anchor(own, group, call, from, at)));
        }
        Command::WriteCounter { group, n } => drop(tokio::spawn(calls::write_counter(own, group, n))),
        Command::WriteOwnTag { group } => drop(tokio::spawn(calls::write_own_tag(own, group))),
        Command::Fence { group, node, call } => drop(tokio::spawn(fence::fence(own, group, node, call, at))),
        Command::Recover { node, remedy, call } => {
            drop(tokio::spawn(recovery::recover(own, node, remedy, call, at)));
        }
        Command::Probe { group, call } => drop(tokio::spawn(probe::ask(own, group, call))),
        Command::ReadLease { group, call } => drop(tokio::spawn(lease::read(own, group, call))),
        Command::WriteLease { group, call, expect, lease } => {
            drop(tokio::spawn(lease::write(own, group, call, (expect, lease), at)));
        }
        Command::Guard { group, until } => guard::want(shell, group, until),
        Command::Converge { group, desired, change } => {
            let Some((_, world)) = shell.group(group) else { return };
            if desired == Desired::Standby {
                shell.timeline.ended(group);
            } else {
                world.seen().note(probe::WHAT, None);
            }
            world.wanted.send_replace(Wanted { desired: Some(desired), change });
        }
        Command::Store { group, memory } => {
            if let Some((_, world)) = shell.group(group) {
                world.maintenance.send_replace(memory.maintenance.on);
            }
            store.put(group, memory);
        }
        Command::Tell(notice) => {
            if notice.id == "decided"
                && let Some(group) = notice.group
            {
                shell.timeline.decided(group, at, shell.names.text(&notice.text));
            }
            notices::log(&notice, &shell.names);
        }
    }
}
