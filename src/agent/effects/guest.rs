//! The guest's addresses of one group: there while this node serves, gone when it does not.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::source::Sources;
use super::world::Reached;
use crate::agent::clock;
use crate::agent::shell::Shell;
use crate::agent::timeline::Step;
use crate::cluster::GroupId;
use crate::config::{Group, Resource};
use crate::resource::Here;
use crate::resource::guest::{self, Guest, GuestAddress, GuestError, GuestEvent, Wanted};

/// Without netlink nothing can be done; it is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// Keeps the addresses for as long as the agent runs.
pub(super) async fn keep(shell: Arc<Shell>, group: GroupId, reached: Reached) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut here = shell.here.subscribe();
    let keeper = has_addresses(settings).then(|| {
        let (kept, keep) = watch::channel(Wanted::new());
        tokio::spawn(put_back(Arc::clone(&shell), group, keep));
        kept
    });
    let sources = Sources::start(&shell, group);
    loop {
        let wish = *wanted.borrow_and_update();
        let known = here.borrow_and_update().clone();
        if let (Some(serves), Some(here)) = (wish.serves(), known) {
            if let (Some(sources), false) = (&sources, serves) {
                sources.set(&shell, group, &here, false).await;
            }
            if let Some(kept) = &keeper {
                let addresses = addresses(settings, &here);
                // Before anything is removed: what is being kept would be put back.
                kept.send_replace(addresses.iter().map(|address| (address.clone(), serves)).collect());
                for address in &addresses {
                    let done = bring_about(address, serves).await;
                    note(&shell, group, address, done);
                }
            }
            if let (Some(sources), true) = (&sources, serves) {
                sources.set(&shell, group, &here, true).await;
            }
        }
        if wish.serves() == Some(true) {
            shell.timeline.done(group, Step::Guest, clock::now());
        }
        reached.send_replace(wish.change);
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            changed = here.changed() => if changed.is_err() { return },
        }
    }
}

/// Puts back what another program removes.
async fn put_back(shell: Arc<Shell>, group: GroupId, wanted: watch::Receiver<Wanted>) {
    while wanted.has_changed().is_ok() {
        let ended = guest::keep(wanted.clone(), |event| match event {
            GuestEvent::Added(address) | GuestEvent::Removed(address) => {
                note(&shell, group, &address, Ok(()));
            }
            GuestEvent::PutBack(address) => {
                tracing::warn!(
                    id = "guest-put-back",
                    group = shell.names.group(group),
                    "another program removed {} from the guest's interface; it is back",
                    address.address
                );
                note(&shell, group, &address, Ok(()));
            }
            GuestEvent::Failed(address, error) => note(&shell, group, &address, Err(error)),
        });
        if let Err(error) = ended.await {
            shell.errors.failed("guest address", "netlink", &error.to_string());
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn bring_about(address: &GuestAddress, there: bool) -> Result<(), GuestError> {
    let guest = Guest::open()?;
    if there { guest.add(address).await } else { guest.remove(address).await }
}

fn note(shell: &Shell, group: GroupId, address: &GuestAddress, done: Result<(), GuestError>) {
    let Some((_, world)) = shell.group(group) else { return };
    let what = format!("guest address {}", address.address);
    if let Err(error) = &done {
        let text = format!("{} on the guest's interface: {error}", address.address);
        shell.errors.failed("guest address", &text, &text);
    } else {
        shell.errors.worked("guest address");
    }
    world.seen().note(&what, done.err().map(|error| error.to_string()));
}

fn has_addresses(group: &Group) -> bool {
    group.resources.iter().any(|it| matches!(it, Resource::PrivateIp(it) if it.guest))
}

/// Where an interface is lacking, the group's ability says so already.
fn addresses(group: &Group, here: &Here) -> Vec<GuestAddress> {
    let address = |resource: &Resource| match resource {
        Resource::PrivateIp(it) if it.guest => {
            let mac = here.for_private_ip(it).ok()?.mac.clone();
            Some(GuestAddress { mac, address: it.address })
        }
        Resource::PrivateIp(_) | Resource::ElasticIp(_) | Resource::Route(_) => None,
    };
    group.resources.iter().filter_map(address).collect()
}
