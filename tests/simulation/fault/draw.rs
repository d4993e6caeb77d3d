//! Drawing the faults of a run.

use std::time::Duration;

use standin::cluster::{GroupId, LinkId, NodeId, Random, Settings, Time};

use super::{Fault, Planned};
use crate::chance::{Chance, ms, secs};
use crate::model::ec2::Holder;
use crate::model::illness::Illness;
use crate::model::net::{Scope, Trouble};
use crate::setup::Topology;

/// Draws all faults of a run that lasts until `end`, in order.
pub(crate) fn plan(
    topology: Topology,
    settings: &Settings,
    end: Duration,
    random: &mut Random,
) -> Vec<Planned> {
    let count = 10 + random.below(15);
    // Some runs concentrate on one kind, so that combinations get their chance.
    let favourite = random.chance(400).then(|| random.below(KINDS));
    let mut all: Vec<Planned> = (0..count)
        .map(|_| {
            let kind = favourite.filter(|_| random.chance(500)).unwrap_or_else(|| random.below(KINDS));
            let at = Time::ZERO + random.between(secs(20), end.saturating_sub(secs(30)));
            let (fault, lasts) = draw(kind, topology, settings, random);
            Planned { at, lasts, fault }
        })
        .collect();
    for _ in 0..random.below(4) {
        incident(&mut all, topology, end, random);
    }
    if random.chance(60) {
        restless(&mut all, topology, end, random);
    }
    all.sort_by_key(|planned| planned.at);
    if random.chance(500) {
        bunch(&mut all, random);
    }
    all
}

/// A path that flaps for most of the run, while agents are restarted: what damping is for.
fn restless(all: &mut Vec<Planned>, topology: Topology, end: Duration, random: &mut Random) {
    let node = Some(NodeId(random.below(u64::from(topology.members)) as u8));
    let scope = Scope { from: node, to: None, link: None, both_ways: true };
    let at = Time::ZERO + random.between(secs(20), secs(200));
    let lasts = random.between(secs(500), end.saturating_sub(secs(300)));
    all.push(Planned { at, lasts, fault: Fault::Flaps(scope) });
    for _ in 0..random.below(8) {
        let node = NodeId(random.below(u64::from(topology.members)) as u8);
        let at = at + random.between(secs(0), lasts);
        let fault = Fault::Crash { node, forgets: false };
        all.push(Planned { at, lasts: random.spread(ms(100), secs(5)), fault });
    }
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

const KINDS: u64 = 33;

fn draw(kind: u64, topology: Topology, settings: &Settings, random: &mut Random) -> (Fault, Duration) {
    let node = NodeId(random.below(u64::from(topology.nodes)) as u8);
    let other = NodeId((node.0 + 1 + random.below(u64::from(topology.nodes) - 1) as u8) % topology.nodes);
    let group = GroupId(random.below(u64::from(topology.groups)) as u8);
    let member = NodeId(node.0 % topology.members);
    let lasting = random.spread(secs(1), secs(600));
    let whom = random.chance(600).then_some(member);
    let part = random.pick(&[100, 300, 600, 900]);
    let leased = settings.groups[usize::from(group.0)].lease.is_some();
    match kind {
        0..=8 => on_the_way(kind, node, other, settings.links, random),
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
        24 | 25 => (Fault::Fails { node: member, group, times: 1 + random.below(5) as u32 }, Duration::ZERO),
        26 => (Fault::StartFails(member, group), lasting),
        27 => (Fault::Cleanup(member, group), Duration::ZERO),
        28 | 29 if leased => (Fault::Lease(whom, illness(part, random)), random.spread(secs(1), secs(120))),
        28 => (Fault::TakeOver(member, group), Duration::ZERO),
        30 => {
            let scope =
                Scope { from: Some(node), to: Some(other), link: None, both_ways: random.chance(700) };
            (Fault::Flaps(scope), random.between(secs(20), secs(300)))
        }
        22 => {
            let fault = Fault::InstanceStop { node, hard: random.chance(500), gone: random.chance(300) };
            (fault, random.spread(secs(10), secs(200)))
        }
        _ => (Fault::Cloud(whom, illness(part, random)), lasting),
    }
}

/// What happens to datagrams.
fn on_the_way(kind: u64, node: NodeId, other: NodeId, links: u8, random: &mut Random) -> (Fault, Duration) {
    let link = Some(LinkId(random.below(u64::from(links)) as u8));
    let short = random.spread(ms(200), secs(20));
    let lasting = random.spread(secs(1), secs(600));
    let (from, to) = (Some(node), random.chance(600).then_some(other));
    let scope = Scope { from, to, link: None, both_ways: false };
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
        _ => (Fault::Replay(node), random.spread(secs(3), secs(300))),
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
