//! A group's service: started where the group is served and, if it is cold, stopped where it is not. Whether
//! it works is not watched yet.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::hooks::addresses;
use super::world::Reached;
use crate::agent::clock;
use crate::agent::shell::{Need, Shell, World};
use crate::cluster::{Event, GroupId, ServiceFailure};
use crate::config::{Arbiter, Group, Service, Standby};
use crate::service::unit::Unit;

/// systemd's own bound on a start is 90 s by default; this one is for a systemd that does not answer.
const START: Duration = Duration::from_secs(120);
/// A stop that could not be confirmed is tried again after this.
const STOP_AGAIN: Duration = Duration::from_millis(250);
/// systemd is asked again after this where the unit is, if it did not say.
const FIND_AGAIN: Duration = Duration::from_secs(5);
/// And so often whether that has changed.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Starts and stops the service for as long as the agent runs.
pub(super) async fn keep(
    shell: Arc<Shell>,
    group: GroupId,
    mut guest: watch::Receiver<u64>,
    reached: Reached,
) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let unit = settings.service.as_ref().and_then(|it| Some(Unit::new(it.unit()?)));
    if let Some(unit) = &unit {
        tokio::spawn(find(Arc::clone(&shell), group, unit.clone()));
    }
    let mut serving = None;
    loop {
        let wish = *wanted.borrow_and_update();
        if let (Some(unit), Some(service), Some(serves)) = (&unit, &settings.service, wish.serves())
            && serving != Some(serves)
        {
            serving = Some(serves);
            // It may be that something else is wanted before this is done.
            let mut other = wanted.clone();
            let change = async { drop(other.wait_for(|wish| wish.serves() != Some(serves)).await) };
            let bring_about = async {
                if serves {
                    addresses(&mut guest, wish.change).await;
                    start(&shell, group, settings, world, unit).await;
                } else if service.standby == Standby::Cold {
                    stop(&shell, settings, world, unit, service).await;
                }
            };
            tokio::select! {
                () = bring_about => {}
                () = change => continue,
            }
        }
        reached.send_replace(wish.change);
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Learns where the unit's processes are, before anybody has to know in a hurry.
async fn find(shell: Arc<Shell>, group: GroupId, unit: Unit) {
    let Some((settings, world)) = shell.group(group) else { return };
    while let Err(why) = look(&shell, settings, world, &unit).await {
        shell.able(group, Need::Service, Err(why));
        tokio::time::sleep(FIND_AGAIN).await;
    }
    shell.able(group, Need::Service, Ok(()));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // No answer is no news.
        let _shown = look(&shell, settings, world, &unit).await;
    }
}

async fn look(shell: &Shell, settings: &Group, world: &World, unit: &Unit) -> Result<(), String> {
    let shown = unit.show().await.map_err(|error| error.to_string())?;
    // Then it runs before anybody is active, and before the guard has heard of it.
    let at_boot = shown.at_boot && settings.service.as_ref().is_some_and(|it| it.standby == Standby::Cold);
    let name = unit.name();
    let remedy =
        format!("systemd starts {name} whether this node is active or not: `systemctl disable {name}`");
    world.seen().note("at boot", at_boot.then_some(remedy));
    let news = world.cgroup.send_if_modified(|known| {
        let before = known.replace(shown.cgroup.clone());
        before.as_ref() != Some(&shown.cgroup)
    });
    if news {
        shell.guard_asked.notify_one();
    }
    Ok(())
}

async fn start(shell: &Shell, group: GroupId, settings: &Group, world: &World, unit: &Unit) {
    if settings.arbiter == Arbiter::Dynamodb {
        // Without a guard that has a deadline, nothing stops what is started here.
        let mut guarded = world.guarded.subscribe();
        let in_time = |until: &Option<_>| until.is_some_and(|until| clock::now() < until);
        drop(guarded.wait_for(in_time).await);
    }
    let started = clock::now();
    let result = unit.start(START).await;
    let took = clock::now().since(started);
    let (name, unit_name) = (&settings.name, unit.name());
    match &result {
        Ok(()) => {
            tracing::info!(id = "service-started", group = name, "{unit_name} has started, in {took:?}")
        }
        Err(error) => shell.errors.failed("service", "start", &format!("{name}: {error}")),
    }
    note(world, result.as_ref().err().map(ToString::to_string));
    if result.is_err() {
        shell.heart.event(Event::ServiceFailed { group, how: ServiceFailure::Start });
        return;
    }
    shell.errors.worked("service");
    // Only now systemd knows for certain.
    if let Err(why) = look(shell, settings, world, unit).await {
        shell.errors.failed("service", "show", &format!("{name}: {why}"));
    }
}

/// Until it has stopped: an unconfirmed stop is none.
async fn stop(shell: &Shell, settings: &Group, world: &World, unit: &Unit, service: &Service) {
    let (name, unit_name) = (&settings.name, unit.name());
    loop {
        let started = clock::now();
        let cgroup = world.cgroup.borrow().clone();
        match unit.stop(cgroup.as_ref(), service.stop_timeout).await {
            Ok(()) => {
                let took = clock::now().since(started);
                tracing::info!(id = "service-stopped", group = name, "{unit_name} has stopped, in {took:?}");
                shell.errors.worked("service");
                note(world, None);
                return;
            }
            Err(error) => {
                shell.errors.failed("service", "stop", &format!("{name}: {error}"));
                note(world, Some(error.to_string()));
            }
        }
        tokio::time::sleep(STOP_AGAIN).await;
    }
}

fn note(world: &World, failing: Option<String>) {
    world.seen().note("service", failing);
}

/// For the guard: whether a group's service is to be guarded at all.
pub(super) fn guarded_unit(settings: &Group) -> Option<&str> {
    let service = settings.service.as_ref().filter(|_| settings.arbiter == Arbiter::Dynamodb)?;
    service.unit()
}
