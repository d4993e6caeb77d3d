//! A group's Asterisk, over AMI: its calls are counted, its outbound registrations follow the group, and it can be
//! drained. Nothing here decides who is active, and nobody waits for it.

pub(in crate::agent) mod drain;
mod follow;
mod lost;
mod speak;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::agent::shell::{Shell, World};
use crate::cluster::{Event, GroupId, Tally};
use crate::config::Standby;
use crate::service::ami::{AmiError, Client};
use speak::Conversation;

/// An answer of Asterisk takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// An Asterisk that starts is to be found at once; the kernel answers for one that does not run.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Each refused login is a line in Asterisk's log.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// So many failures in a row are worth a word: an Asterisk that restarts has some.
const WORTH_A_WORD: u32 = 20;
/// The note of `status` about AMI.
const WHAT: &str = "asterisk";

/// Speaks with Asterisk for as long as the agent runs.
pub(super) async fn keep(shell: Arc<Shell>, group: GroupId) {
    let Some((settings, world)) = shell.group(group) else { return };
    let Some(asterisk) = &settings.asterisk else { return };
    tokio::spawn(lost::watch(Arc::clone(&shell), group));
    let cold = settings.service.as_ref().is_some_and(|it| it.standby == Standby::Cold);
    let mut conversation = Conversation::new(&shell, group, settings, world);
    let mut wanted = world.wanted.subscribe();
    let mut failures = 0;
    loop {
        if cold && wanted.borrow_and_update().serves() != Some(true) {
            // It does not run, and is not to.
            world.seen().note(WHAT, None);
            failures = 0;
            if wanted.changed().await.is_err() {
                return;
            }
            continue;
        }
        let error = match Client::login(asterisk, PATIENCE).await {
            Ok(client) => {
                failures = 0;
                world.seen().note(WHAT, None);
                shell.errors.worked("AMI");
                conversation.hold(client).await
            }
            Err(error) => error,
        };
        conversation.ended();
        failures += 1;
        let pause = match &error {
            AmiError::Connect { .. } | AmiError::Closed(_) => LOOK_AGAIN,
            AmiError::Secret(_)
            | AmiError::NotAmi { .. }
            | AmiError::Denied { .. }
            | AmiError::Refused { .. }
            | AmiError::Silence { .. }
            | AmiError::Malformed(_) => ASK_AGAIN,
        };
        let drains = *world.draining.borrow();
        if !drains && (failures >= WORTH_A_WORD || pause == ASK_AGAIN) {
            let text = error.to_string();
            shell.errors.failed("AMI", &text, &format!("{}: {text}", settings.name));
            world.seen().note(WHAT, Some(text));
        }
        sleep(pause).await;
    }
}

/// Tells the peers what Asterisk is doing, if that has changed.
fn tell(shell: &Shell, group: GroupId, told: &mut Tally, tally: Tally) {
    if *told != tally {
        *told = tally;
        shell.heart.event(Event::Counted { group, tally });
    }
}

/// A note of its own for each thing that can be wrong.
fn note(world: &World, what: &str, why: Option<String>) {
    world.seen().note(what, why);
}
