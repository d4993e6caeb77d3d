//! What a node waits for, in each row of the table.

use std::time::Duration;

use crate::agent::names::Names;
use crate::cluster::snapshot::{GroupView, Snapshot};
use crate::cluster::{Fencing, GroupSettings, Owner, Role, Row, Settings, WhenSilent};

/// What happens next, and when.
pub(super) fn next(view: &GroupView, all: &Snapshot, settings: &Settings, names: &Names) -> String {
    let text = wait(view, all, settings, names);
    let able = view.role == Role::Active || view.gate.is_some() || view.row == Row::Maintenance;
    match view.ineligible.as_ref().filter(|_| !able) {
        Some(why) => format!("{text}. It could not take the group: {}", names.text(why)),
        None => text,
    }
}

fn wait(view: &GroupView, all: &Snapshot, settings: &Settings, names: &Names) -> String {
    let group = settings.groups.get(usize::from(view.group.0));
    let holder = match view.anchor {
        Some(Owner::Theirs(node)) => names.node(node),
        Some(Owner::Mine | Owner::Nobody | Owner::Orphaned | Owner::Stranger) | None => "the holder",
    };
    let back = all.peers.iter().find(|peer| view.anchor == Some(Owner::Theirs(peer.node)));
    let back_in = back.and_then(|peer| peer.back_in).unwrap_or_default();
    let silence = match group.map_or(WhenSilent::Take, |it| it.when_silent) {
        WhenSilent::Take => "it takes the group",
        WhenSilent::Probe => "it probes the service, and takes the group if that does not answer",
        WhenSilent::Hold => "it waits for proof or for an operator (when-silent)",
    };
    let lease = group.and_then(|it| it.lease).map(|it| {
        format!("it waits until {holder}'s lease of {} has run out, or is given back", words(it.length))
    });
    match view.row {
        Row::Watch | Row::HolderIdle | Row::BackSoon | Row::Silent | Row::CounterAtRest
            if lease.is_some() =>
        {
            lease.unwrap_or_default()
        }
        Row::Maintenance => "it waits until an operator ends the maintenance of the group".to_owned(),
        Row::NotSettled => {
            "it asks EC2 each second, and believes what was asked at least 5 s after the last \
                            change, or what agrees with that change"
                .to_owned()
        }
        Row::Serve => {
            "it serves until EC2 says that the anchor is another's, the service fails here for good, \
                       or the group is handed over"
                .to_owned()
        }
        Row::Barred => "it waits for a node that takes what it offers".to_owned(),
        Row::Yield => "it stands by, and watches the new holder".to_owned(),
        Row::Retake | Row::Free => take(view, group, names),
        Row::ServeBlind => "it serves on, and asks EC2 again".to_owned(),
        Row::Isolated => {
            let release = group.is_some_and(|it| it.release_when_isolated);
            let then = if release { "it stops serving" } else { "it serves on" };
            format!("{then} (when-isolated), and asks EC2 again")
        }
        Row::OwnAnchor => "it becomes active".to_owned(),
        Row::OwnUnfit => format!(
            "once this has lasted {} it offers the group, or becomes active if nobody is heard that could take it",
            patience(settings)
        ),
        Row::Offered | Row::Proof => take(view, group, names),
        Row::Silent if silence == "it takes the group" => take(view, group, names),
        Row::Silent => silence.to_owned(),
        Row::Watch if view.armed.is_some() => {
            format!("if {holder} is silent for {}, {silence}", words(settings.dead_after))
        }
        Row::Watch => format!("it waits to hear {holder} active; before that, its silence does not count"),
        Row::HolderIdle => format!(
            "it waits for {holder} to serve or to offer the group, and takes it once this has lasted {}",
            patience(settings)
        ),
        Row::BackSoon => {
            format!("it waits for {holder}, which said that it is back within {}", words(back_in))
        }
        Row::CounterAtRest if view.at_rest => take(view, group, names),
        Row::CounterAtRest => format!(
            "it waits until {holder}'s counter in EC2 has stood still over four reads and 30 s, while EC2 takes \
             this node's own tags; then {silence}"
        ),
        Row::Stranger => "it waits for an operator, who detaches the anchor or forces a takeover".to_owned(),
        Row::Unknown => "it asks EC2 again, less and less often".to_owned(),
    }
}

fn take(view: &GroupView, group: Option<&GroupSettings>, names: &Names) -> String {
    let fencing = group.map_or(Fencing::None, |it| it.fencing);
    let how = match fencing {
        Fencing::None => "it takes the anchor",
        Fencing::Before => "it has the old node stopped by EC2, and takes the anchor",
        Fencing::Alongside => "it takes the anchor, and has the old node stopped by EC2",
    };
    match (&view.gate, view.gate_for) {
        (Some(gate), Some(time)) => format!("{how} in {}; until then: {}", words(time), names.text(gate)),
        (Some(gate), None) => format!("{how}; {}", names.text(gate)),
        (None, _) => how.to_owned(),
    }
}

fn patience(settings: &Settings) -> String {
    words(settings.first_dead_after.max(Duration::from_secs(10)))
}

fn words(time: Duration) -> String {
    crate::cli::layout::age(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
