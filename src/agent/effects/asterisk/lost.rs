//! How many calls a takeover has cost: the last number that the silent node said.

use std::sync::Arc;

use crate::agent::shell::Shell;
use crate::cluster::snapshot::PeerView;
use crate::cluster::{GroupId, Role};

/// A hand-over: the old active node knows better what it had.
const OFFERED: u8 = 11;

/// Says it after each takeover by this node, for as long as the agent runs.
pub(super) async fn watch(shell: Arc<Shell>, group: GroupId) {
    let Some((settings, world)) = shell.group(group) else { return };
    let mut wanted = world.wanted.subscribe();
    let mut served = wanted.borrow_and_update().serves();
    while wanted.changed().await.is_ok() {
        let serves = wanted.borrow_and_update().serves();
        if serves == served {
            continue;
        }
        let from_standby = served == Some(false);
        served = serves;
        if serves != Some(true) || !from_standby {
            continue;
        }
        let Some(look) = shell.heart.look().await else { return };
        let Some(view) = look.snapshot.groups.iter().find(|it| it.group == group) else { continue };
        let row = view.reason.0;
        if !row.is_take() || row.number() == OFFERED {
            continue;
        }
        let report = |peer: &PeerView| {
            let report = peer.reports.iter().find(|it| it.group == group && it.role == Role::Active)?;
            Some((peer.node, report.tally.calls?, peer.heard?))
        };
        let Some((node, calls, heard)) = look.snapshot.peers.iter().find_map(report) else { continue };
        shell.timeline.calls_lost(group, u32::from(calls), &shell.names);
        let (name, ago) = (shell.names.node(node), heard.as_secs_f32());
        tracing::warn!(
            id = "calls-lost",
            group = settings.name,
            calls,
            "about {calls} channels were up on {name} when it was last heard, {ago:.1} s ago: their calls are lost"
        );
    }
}
