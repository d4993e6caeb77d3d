//! The nodes, and the links to them.

use super::super::heart::Look;
use super::super::shell::Shell;
use super::{ms, us};
use crate::cluster::snapshot::{LinkView, RecoveryState, RecoveryView};
use crate::cluster::{LinkState, NodeId};
use crate::config;
use crate::control::protocol::{Link, Node, Recovery};

pub(super) fn node(shell: &Shell, look: &Look, id: NodeId, settings: &config::Node) -> Node {
    let peer = look.snapshot.peers.iter().find(|peer| peer.node == id);
    let ours = shell.config.nodes.get(usize::from(shell.me.0)).map(|it| it.links.as_slice());
    let addresses = |link: &LinkView| {
        let place = usize::from(link.link.0);
        let text = |links: Option<&[std::net::IpAddr]>| {
            links.and_then(|it| it.get(place)).map(ToString::to_string).unwrap_or_default()
        };
        (text(ours), text(Some(&settings.links)))
    };
    let links = peer.into_iter().flat_map(|peer| &peer.links).map(|link| {
        let (ours, theirs) = addresses(link);
        link_to(look, id, link, ours, theirs)
    });
    Node {
        name: settings.name.clone(),
        state: peer.map_or("this node", |peer| peer.state.word()).to_owned(),
        heard_ms: peer.and_then(|peer| peer.heard).map(ms),
        hears_us: peer.and_then(|peer| peer.hears_us),
        same_config: peer.and_then(|peer| peer.same_config),
        recovery: peer.and_then(|peer| peer.recovery).map(recovery),
        instance: peer.map_or_else(|| own_instance(shell), |peer| peer.instance.clone()),
        interfaces: shell.known_interfaces(id),
        links: links.collect(),
    }
}

fn recovery(view: RecoveryView) -> Recovery {
    let state = match view.state {
        RecoveryState::Waiting => "waiting",
        RecoveryState::Asked => "asked",
        RecoveryState::Stopping => "stopping",
        RecoveryState::Booting => "booting",
        RecoveryState::Heard => "heard",
        RecoveryState::GaveUp => "gave up",
    };
    Recovery { state: state.to_owned(), attempts: view.attempts, next_in_ms: view.next_in.map(ms) }
}

fn own_instance(shell: &Shell) -> Option<String> {
    shell.here.borrow().as_ref().map(|here| here.identity.instance.clone())
}

fn link_to(look: &Look, node: NodeId, view: &LinkView, ours: String, theirs: String) -> Link {
    let stats = &view.stats;
    let expected = stats.received + stats.missed;
    // Counts beyond 2^53 would take millions of years.
    let loss = if expected == 0 { 0.0 } else { stats.missed as f64 * 100.0 / expected as f64 };
    let source = look.sources.peer(node, view.link);
    Link {
        link: view.link.0,
        ours,
        theirs,
        state: match view.state {
            LinkState::NeverSeen => "never seen",
            LinkState::Up => "up",
            LinkState::Late => "late",
            LinkState::Lost => "lost",
        }
        .to_owned(),
        since_ms: ms(view.since),
        heard_ms: view.heard.map(ms),
        rtt_us: stats.srtt_us,
        received: stats.received,
        missed: stats.missed,
        loss_percent: loss,
        replayed: stats.replayed,
        refused: source.map_or(0, |it| it.unauthenticated + it.refused),
        refused_because: source.and_then(|it| it.last_error.as_ref()).map(|(_, error)| error.to_string()),
        late: stats.late,
        lost: stats.lost,
        gap_p99_us: stats.gaps.p99().map(us),
        gap_longest_us: (stats.gaps.total() > 0).then(|| us(stats.gaps.longest())),
        advised_dead_after_ms: view.advised_dead_after.map(ms),
    }
}
