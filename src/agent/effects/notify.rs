//! What systemd is kept posted about: ready, alive, and one line of status.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::clock;
use crate::agent::heart::{Look, Pulse};
use crate::agent::shell::Shell;
use crate::agent::systemd;
use crate::cluster::{PeerState, Role};

/// The status line is at most so old.
const EVERY: Duration = Duration::from_secs(5);
/// A heart that has not turned for so long does not beat.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// Tells systemd, if it wants to know, for as long as the agent runs. A watchdog is fed for as long as the
/// heart beats, whatever the effects do.
pub(in crate::agent) async fn keep_systemd_posted(shell: Arc<Shell>, pulse: Arc<Pulse>) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    if let Err(error) = systemd::ready("started, looking around") {
        shell.errors.failed("systemd", "notify", &format!("systemd cannot be told: {error}"));
        return;
    }
    let watchdog = systemd::watchdog_interval();
    let every = watchdog.map_or(EVERY, |interval| interval.min(EVERY));
    let mut said = String::new();
    loop {
        tokio::time::sleep(every).await;
        let beats = clock::now().since(pulse.turn_at()) < STANDS_STILL;
        if beats && watchdog.is_some() {
            let _told = systemd::watchdog();
        }
        let Some(look) = shell.heart.look().await else { return };
        let line = line(&shell, &look);
        if line != said {
            let _told = systemd::status(&line);
            said = line;
        }
    }
}

/// "ivr: active, nat: standby; peers online: 1 of 2".
fn line(shell: &Shell, look: &Look) -> String {
    let groups = look.snapshot.groups.iter().filter(|group| group.member).map(|group| {
        let role = match group.role {
            Role::Active => "active",
            Role::Standby => "standby",
        };
        format!("{}: {role}", shell.names.group(group.group))
    });
    let peers = &look.snapshot.peers;
    let online = peers.iter().filter(|peer| peer.state == PeerState::Online).count();
    format!("{}; peers online: {online} of {}", groups.collect::<Vec<_>>().join(", "), peers.len())
}
