//! The probe of a group: asked when the core wants it, answered by exactly one event.

use std::sync::Arc;

use crate::agent::shell::Shell;
use crate::cluster::{Event, GroupId};
use crate::service::hooks::About;
use crate::service::probe;

/// What `status` calls it.
pub(super) const WHAT: &str = "the probe";

/// Asks the service at the address that moves, within the probe's own timeout.
pub(super) async fn ask(shell: Arc<Shell>, group: GroupId, call: u64) {
    let Some((settings, world)) = shell.group(group) else { return };
    // The core probes only where a probe is configured.
    let Some(wanted) = &settings.probe else { return };
    let name = shell.names.group(group);
    let about = About {
        cluster: shell.names.cluster.clone(),
        group: name.to_owned(),
        node: shell.names.node(shell.me).to_owned(),
    };
    let answer = probe::ask(wanted, &about).await;
    let failing =
        answer.as_ref().err().map(|why| format!("the service does not answer at its address: {why}"));
    match &failing {
        None => shell.errors.worked("probe"),
        Some(text) => shell.errors.failed("probe", name, &format!("{name}: {text}")),
    }
    // Whoever serves by now asks nobody any more.
    let asks = world.wanted.borrow().serves() != Some(true);
    world.seen().note(WHAT, failing.filter(|_| asks));
    shell.heart.event(Event::Probed { group, call, answered: answer.is_ok() });
}
