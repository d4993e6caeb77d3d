//! What goes wrong, and when: drawn from the seed before the run begins.

use std::time::Duration;

use standin::cluster::{GroupId, LinkId, NodeId, Random, Time};

use super::chance::{Chance, ms, secs};
use super::ec2::{Holder, Illness};
use super::net::{Scope, Trouble};
use super::world::Topology;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Network(Scope, Trouble),
    /// Old datagrams are sent again to this node, fifty a second.
    Replay(NodeId),
    Cloud(Option<NodeId>, Illness),
    /// SIGKILL; it is started again when the fault ends.
    Crash {
        node: NodeId,
        forgets: bool,
    },
    /// SIGTERM of a unit's restart; back so long after its end.
    Restart(NodeId, Duration),
    /// SIGTERM; it is started again when the fault ends.
    Stop(NodeId),
    Freeze(NodeId),
    /// Again and again frozen for a moment.
    Stalls(NodeId, Duration),
    Unfit(NodeId, GroupId),
    Unable(NodeId, GroupId),
    Switchover(GroupId, Option<NodeId>),
    Standby(NodeId, GroupId),
    Maintenance(NodeId, GroupId),
    /// Somebody moves the anchor by hand.
    Moved(GroupId, Holder),
    /// The instance is stopped, with or without a word to its processes, or terminated and replaced.
    InstanceStop {
        node: NodeId,
        hard: bool,
        gone: bool,
    },
}

impl Fault {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Network(scope, Trouble::Cut) => match (scope.both_ways, scope.link.is_some()) {
                (true, _) => "partition",
                (false, true) => "link-cut",
                (false, false) => "one-way-cut",
            },
            Self::Network(_, Trouble::Loses(_)) => "loss",
            Self::Network(_, Trouble::Delays(_)) => "delay",
            Self::Network(_, Trouble::Shuffles(_)) => "dup+reorder",
            Self::Replay(_) => "replay",
            Self::Cloud(_, Illness::Hangs) => "ec2-hangs",
            Self::Cloud(_, Illness::Unreachable) => "ec2-unreachable",
            Self::Cloud(_, Illness::Throttles(_)) => "ec2-throttles",
            Self::Cloud(_, Illness::Late(_)) => "ec2-late-calls",
            Self::Cloud(_, Illness::LosesAnswers(_)) => "ec2-lost-answers",
            Self::Cloud(_, Illness::Denies) => "ec2-denies",
            Self::Cloud(_, Illness::Slow(_)) => "ec2-slow",
            Self::Cloud(_, Illness::Stale(_)) => "ec2-stale",
            Self::Crash { .. } => "crash",
            Self::Restart(..) => "restart",
            Self::Stop(_) => "stop",
            Self::Freeze(_) => "freeze",
            Self::Stalls(..) => "stalls",
            Self::Unfit(..) => "unfit",
            Self::Unable(..) => "unable",
            Self::Switchover(..) => "switchover",
            Self::Standby(..) => "standby",
            Self::Maintenance(..) => "maintenance",
            Self::Moved(_, Holder::Stranger) => "stranger",
            Self::Moved(..) => "moved-by-hand",
            Self::InstanceStop { .. } => "instance-stop",
        }
    }
}

/// A fault and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned {
    pub(crate) at: Time,
    pub(crate) lasts: Duration,
    pub(crate) fault: Fault,
}

/// Draws all faults of a run that lasts until `end`, in order.
pub(crate) fn plan(topology: Topology, links: u8, end: Duration, random: &mut Random) -> Vec<Planned> {
    let count = 10 + random.below(15);
    // Some runs concentrate on one kind, so that combinations get their chance.
    let favourite = random.chance(400).then(|| random.below(KINDS));
    let mut all: Vec<Planned> = (0..count)
        .map(|_| {
            let kind = favourite.filter(|_| random.chance(500)).unwrap_or_else(|| random.below(KINDS));
            let at = Time::ZERO + random.between(secs(20), end.saturating_sub(secs(30)));
            let (fault, lasts) = draw(kind, topology, links, random);
            Planned { at, lasts, fault }
        })
        .collect();
    for _ in 0..random.below(4) {
        incident(&mut all, topology, end, random);
    }
    all.sort_by_key(|planned| planned.at);
    if random.chance(500) {
        bunch(&mut all, random);
    }
    all
}

/// EC2 is ill while a node falls: the hard case, so it does not wait for chance.
fn incident(all: &mut Vec<Planned>, topology: Topology, end: Duration, random: &mut Random) {
    let at = Time::ZERO + random.between(secs(30), end.saturating_sub(secs(60)));
    let node = NodeId(random.below(u64::from(topology.members)) as u8);
    let whom = random.chance(600).then(|| NodeId((node.0 + 1) % topology.members));
    let part = random.pick(&[300, 600, 900]);
    let ill = random.spread(secs(5), secs(120));
    let fault = Fault::Cloud(whom, illness(part, random));
    all.push(Planned { at, lasts: ill, fault });
    let at = at + random.spread(ms(1), ill);
    let (from, lasts) = (Some(node), random.spread(secs(2), secs(180)));
    let cut = Scope { from, to: None, link: None, both_ways: random.chance(700) };
    let fault = match random.below(4) {
        0 => Fault::Crash { node, forgets: false },
        1 => Fault::Freeze(node),
        2 => Fault::Network(cut, Trouble::Cut),
        _ => Fault::Moved(GroupId(random.below(u64::from(topology.groups)) as u8), Holder::Orphaned),
    };
    all.push(Planned { at, lasts, fault });
}

/// Moves some faults close to the one before: troubles come together.
fn bunch(all: &mut [Planned], random: &mut Random) {
    for at in 1..all.len() {
        if random.chance(400) {
            all[at].at = all[at - 1].at + random.spread(ms(1), secs(20));
        }
    }
    all.sort_by_key(|planned| planned.at);
}

const KINDS: u64 = 26;

fn draw(kind: u64, topology: Topology, links: u8, random: &mut Random) -> (Fault, Duration) {
    let node = NodeId(random.below(u64::from(topology.nodes)) as u8);
    let other = NodeId((node.0 + 1 + random.below(u64::from(topology.nodes) - 1) as u8) % topology.nodes);
    let group = GroupId(random.below(u64::from(topology.groups)) as u8);
    let link = Some(LinkId(random.below(u64::from(links)) as u8));
    let member = NodeId(node.0 % topology.members);
    let short = random.spread(ms(200), secs(20));
    let lasting = random.spread(secs(1), secs(600));
    let (from, to) = (Some(node), random.chance(600).then_some(other));
    let scope = Scope { from, to, link: None, both_ways: false };
    let whom = random.chance(600).then_some(member);
    let part = random.pick(&[100, 300, 600, 900]);
    match kind {
        0 | 1 => {
            let link = link.filter(|_| random.chance(300));
            (Fault::Network(Scope { link, ..scope }, Trouble::Loses(part)), lasting)
        }
        2 => {
            let by = random.spread(ms(50), ms(1500));
            (Fault::Network(Scope { both_ways: true, ..scope }, Trouble::Delays(by)), lasting)
        }
        3 => (Fault::Network(Scope { link, ..scope }, Trouble::Cut), lasting),
        4 => (Fault::Network(scope, Trouble::Cut), lasting),
        5 => (Fault::Network(Scope { both_ways: true, ..scope }, Trouble::Cut), short),
        6 => (Fault::Network(Scope { both_ways: true, ..scope }, Trouble::Cut), lasting),
        7 => (Fault::Network(Scope { both_ways: true, ..scope }, Trouble::Shuffles(part / 2)), lasting),
        8 => (Fault::Replay(node), random.spread(secs(3), secs(300))),
        9 | 10 => (Fault::Crash { node, forgets: random.chance(300) }, random.spread(ms(100), secs(200))),
        11 => {
            let back = random.spread(ms(100), secs(8));
            (Fault::Restart(node, if random.chance(200) { back * 5 } else { back }), Duration::ZERO)
        }
        12 => (Fault::Stop(node), random.spread(secs(1), secs(200))),
        13 | 14 => (Fault::Freeze(node), random.spread(ms(300), secs(120))),
        15 => (Fault::Stalls(node, random.spread(ms(50), ms(3000))), random.between(secs(5), secs(60))),
        16 => (Fault::Unfit(member, group), lasting),
        17 => (Fault::Unable(member, group), lasting),
        18 => {
            let to = random.chance(500).then_some(NodeId(other.0 % topology.members));
            (Fault::Switchover(group, to), Duration::ZERO)
        }
        19 => (Fault::Standby(member, group), lasting),
        20 => (Fault::Maintenance(member, group), random.spread(secs(1), secs(200))),
        21 => {
            let holder =
                random.pick(&[Holder::Nobody, Holder::Orphaned, Holder::Stranger, Holder::Node(member)]);
            (Fault::Moved(group, holder), lasting)
        }
        22 => {
            let fault = Fault::InstanceStop { node, hard: random.chance(500), gone: random.chance(300) };
            (fault, random.spread(secs(10), secs(200)))
        }
        _ => (Fault::Cloud(whom, illness(part, random)), lasting),
    }
}

fn illness(part: u64, random: &mut Random) -> Illness {
    match random.below(8) {
        0 => Illness::Hangs,
        1 => Illness::Unreachable,
        2 => Illness::Throttles(part),
        3 => Illness::Late(part),
        4 => Illness::LosesAnswers(part),
        5 => Illness::Denies,
        6 => Illness::Slow(random.spread(ms(50), secs(4))),
        _ => Illness::Stale(1000),
    }
}
