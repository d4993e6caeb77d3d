//! A group's service: started where the group is served and, if it is cold, stopped where it is not; and watched all
//! the time, on the standby too. What it is (a unit, commands, an OCF agent) is the business of `service`.

mod act;
mod keeper;
mod pace;
mod tell;
mod words;

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::world::Reached;
use crate::agent::shell::Shell;
use crate::cluster::GroupId;
use crate::config::{Arbiter, Group};
use keeper::Keeper;
pub(super) use pace::Pace;
pub(in crate::agent) use words::Ailing;

/// Keeps the service as it is wanted for as long as the agent runs.
pub(super) async fn keep(
    shell: Arc<Shell>,
    group: GroupId,
    [guest, before]: [watch::Receiver<u64>; 2],
    reached: Reached,
) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut keeper = Keeper::new(&shell, group, settings, world, [guest, before]);
    loop {
        let wish = *wanted.borrow_and_update();
        let serves = wish.serves();
        // It may be that something else is wanted before this is done.
        let other = async |wanted: &mut watch::Receiver<_>| {
            drop(wanted.wait_for(|wish: &crate::agent::shell::Wanted| wish.serves() != serves).await);
        };
        let Some(keeper) = &mut keeper else {
            reached.send_replace(wish.change);
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        };
        let mut later = wanted.clone();
        let converged = tokio::select! {
            () = keeper.converge(serves, wish.change) => true,
            () = other(&mut later) => false,
        };
        if !converged {
            continue;
        }
        reached.send_replace(wish.change);
        let mut supervised = pin!(keeper.supervise());
        loop {
            tokio::select! {
                () = &mut supervised => {}
                changed = wanted.changed() => if changed.is_err() {
                    return;
                },
            }
            // Whoever wants the same with another number need not wait for what is under way.
            let wish = *wanted.borrow_and_update();
            if wish.serves() != serves {
                break;
            }
            reached.send_replace(wish.change);
        }
    }
}

/// For the guard: whether a group's service is to be guarded at all.
pub(super) fn guarded_unit(settings: &Group) -> Option<&str> {
    let service = settings.service.as_ref().filter(|_| settings.arbiter == Arbiter::Dynamodb)?;
    service.unit()
}
