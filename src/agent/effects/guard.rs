//! The guard is there, and knows until when each leased service may run. No guard, no promise: without one the
//! node is not able, and says so.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::service::guarded_unit;
use crate::agent::guard::{Answer, Ask, Client, GuardError, Order, nanos, socket_beside, start};
use crate::agent::shell::{Need, Shell};
use crate::cluster::{GroupId, Time};
use crate::config::Group;

/// The guard is spoken to so often at least: it is to be there before it is needed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// And so often while it does not do what it should.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// What the core wants of the guard: the latest word counts.
pub(super) fn want(shell: &Shell, group: GroupId, until: Option<Time>) {
    let Some((_, world)) = shell.group(group) else { return };
    world.guard.send_replace(Some(until));
    shell.guard_asked.notify_one();
}

/// Keeps the guard for as long as the agent runs. At the agent's end the guard stays, with what it was told.
pub(super) async fn keep(shell: Arc<Shell>) {
    let leased: Vec<_> = shell.own_groups().filter(|(_, group)| guarded_unit(group).is_some()).collect();
    if leased.is_empty() {
        return;
    }
    let mut client = Client::new(&socket_beside(&shell.config.socket));
    // Until the first answer nobody knows.
    for (group, _) in &leased {
        shell.able(*group, Need::Guard, Err("the guard has not answered yet".to_owned()));
    }
    loop {
        let answer = find(&shell, &mut client).await;
        let mut well = true;
        for (group, settings) in &leased {
            let done = match &answer {
                Ok(answer) => tell(&shell, *group, settings, answer, &mut client).await,
                Err(error) => Err(error.to_string()),
            };
            well &= done.is_ok();
            settle(&shell, *group, settings, done);
        }
        let pause = tokio::time::sleep(if well { LOOK_EVERY } else { TRY_AGAIN });
        tokio::select! {
            () = pause => {}
            () = shell.guard_asked.notified() => {}
        }
    }
}

/// The guard that runs, or a new one.
async fn find(shell: &Shell, client: &mut Client) -> Result<Answer, GuardError> {
    let answer = client.ask(Ask::Look).await;
    let is_old = |it: &Answer| it.program != env!("CARGO_PKG_VERSION") && it.watched.is_empty();
    match &answer {
        // It outlived an upgrade, and nobody needs it at this moment.
        Ok(old) if is_old(old) => drop(client.ask(Ask::End).await),
        Err(GuardError::Silent(_)) => {}
        Ok(_) | Err(GuardError::Refused(_) | GuardError::NotStarted(_)) => return answer,
    }
    start(&program(), &unit(shell), client).await
}

/// Passes on what the core wants for one group.
async fn tell(
    shell: &Shell,
    group: GroupId,
    settings: &Group,
    before: &Answer,
    client: &mut Client,
) -> Result<(), String> {
    let Some((_, world)) = shell.group(group) else { return Ok(()) };
    let unit = guarded_unit(settings).unwrap_or_default().to_owned();
    let fired = before.watched.iter().find(|it| it.group == settings.name && it.fired_at.is_some());
    let killed =
        fired.map(|it| format!("its time was over: the guard has killed {unit} ({} processes)", it.killed));
    if let Some(text) = &killed {
        shell.errors.failed("guard", text, &format!("{}: {text}", settings.name));
    }
    world.seen().note("guard", killed);
    let Some(cgroup) = world.cgroup.borrow().clone() else {
        return Err(format!("systemd has not said where the processes of {unit} are"));
    };
    // Nothing was wanted yet: what the guard was told by the last agent holds.
    let Some(until) = *world.guard.borrow() else { return Ok(()) };
    let order = Order {
        group: settings.name.clone(),
        unit,
        cgroup: cgroup.path().to_owned(),
        until: until.map(nanos),
    };
    let told = client.ask(Ask::Guard(order)).await.map_err(|error| error.to_string());
    world.guarded.send_replace(told.as_ref().ok().and(until));
    told.map(drop)
}

fn settle(shell: &Shell, group: GroupId, settings: &Group, done: Result<(), String>) {
    match &done {
        Ok(()) => shell.errors.worked("guard"),
        Err(why) => shell.errors.failed("guard", why, &format!("{}: {why}", settings.name)),
    }
    let why = |why| format!("without its guard a lease promises nothing: {why}");
    shell.able(group, Need::Guard, done.map_err(why));
}

/// This binary; when it was replaced while it ran, what has replaced it.
fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_else(|_| "standin".into());
    let text = program.to_string_lossy();
    text.strip_suffix(" (deleted)").map(PathBuf::from).unwrap_or(program)
}

/// The guard's unit: one per agent of this machine, which its socket tells apart.
fn unit(shell: &Shell) -> String {
    let socket = shell.config.socket.display().to_string();
    let name: String = socket.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("standin-guard{name}.service")
}
