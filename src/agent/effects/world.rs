//! One group's world: its guest addresses, its service, its hooks, and the rest of it in EC2. Each is a task that
//! converges on the latest wish; when all that the wish needs have reached it, the core is told.

use std::sync::Arc;

use tokio::sync::watch;

use super::hooks::Around;
use super::{guest, hooks, rest, service};
use crate::agent::shell::{Shell, Wanted};
use crate::cluster::{Event, GroupId};

/// A part's side: which change it has dealt with, well or badly.
pub(super) type Reached = watch::Sender<u64>;

/// Starts the tasks of a group.
pub(super) fn start(shell: &Arc<Shell>, group: GroupId) {
    let Some((_, world)) = shell.group(group) else { return };
    let wanted = world.wanted.subscribe();
    let (guest_reached, guest) = watch::channel(0);
    let (service_reached, service) = watch::channel(0);
    let (before_reached, before) = watch::channel(0);
    let (hooks_reached, hooks) = watch::channel(0);
    let (rest_reached, rest) = watch::channel(0);
    tokio::spawn(guest::keep(Arc::clone(shell), group, guest_reached));
    tokio::spawn(service::keep(Arc::clone(shell), group, [guest.clone(), before], service_reached));
    let around =
        Around { guest: guest.clone(), service: service.clone(), before: before_reached, all: hooks_reached };
    tokio::spawn(hooks::keep(Arc::clone(shell), group, around));
    tokio::spawn(rest::keep(Arc::clone(shell), group, rest_reached));
    tokio::spawn(report(Arc::clone(shell), group, wanted, [guest, service, hooks], rest));
}

/// Tells the core when a change is reached. Whoever does not repair does not wait for the rest: a call
/// that is still under way there ends by its own bound.
async fn report(
    shell: Arc<Shell>,
    group: GroupId,
    mut wanted: watch::Receiver<Wanted>,
    local: [watch::Receiver<u64>; 3],
    rest: watch::Receiver<u64>,
) {
    let [mut guest, mut service, mut hooks] = local;
    let mut rest = rest;
    loop {
        let wish = *wanted.borrow_and_update();
        let all = async {
            let there = |reached: &u64| *reached >= wish.change;
            drop(guest.wait_for(there).await);
            drop(service.wait_for(there).await);
            drop(hooks.wait_for(there).await);
            if wish.repairs() {
                drop(rest.wait_for(there).await);
            }
        };
        tokio::select! {
            changed = wanted.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            () = all => {}
        }
        if wish.desired.is_some() {
            shell.heart.event(Event::Converged { group, change: wish.change });
        }
        if wanted.changed().await.is_err() {
            return;
        }
    }
}
