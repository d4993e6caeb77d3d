//! A small EC2: who holds each anchor, tags, instance states. Writes are linear; reads may lag.

use std::time::Duration;

use standin::cluster::{
    AnchorRead, Counter, Failure, GroupId, NodeId, Owner, Random, Running, TakeFrom, Time,
};

use super::illness::{Fate, Illness, Illnesses};
use crate::chance::{Chance, ms};

/// Reads lag by less than this (design: "settled" is five seconds).
const LAG: Duration = ms(4900);

/// What kind of thing an anchor is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Its own tag; taking from anyone works from nobody, too.
    ElasticIp,
    /// Tagged through the interface that holds it.
    PrivateIp,
    /// Replacing needs a route, creating needs none; blackholed while its target's instance is down.
    Route,
}

/// Who holds an anchor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Holder {
    Node(NodeId),
    Nobody,
    Orphaned,
    Stranger,
}

/// Values over time: stale reads look back.
#[derive(Clone, Debug)]
pub(crate) struct History<T>(Vec<(Time, T)>);

impl<T: Copy + PartialEq> History<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(vec![(Time::ZERO, value)])
    }

    pub(crate) fn now(&self) -> T {
        self.0[self.0.len() - 1].1
    }

    pub(crate) fn since(&self) -> Time {
        self.0[self.0.len() - 1].0
    }

    fn at(&self, then: Time) -> T {
        self.0.iter().rev().find(|(from, _)| *from <= then).unwrap_or(&self.0[0]).1
    }

    pub(crate) fn set(&mut self, value: T, now: Time) {
        if self.now() != value {
            self.0.push((now, value));
        }
    }

    /// Whether some value of `from..` satisfies this.
    pub(crate) fn any_since(&self, from: Time, like: impl Fn(T) -> bool) -> bool {
        let before = self.0.iter().rev().position(|(at, _)| *at <= from).unwrap_or(self.0.len() - 1);
        self.0[self.0.len() - 1 - before..].iter().any(|(_, value)| like(*value))
    }
}

/// One anchor.
#[derive(Clone, Debug)]
pub(crate) struct Anchor {
    pub(crate) kind: Kind,
    pub(crate) holder: History<Holder>,
    /// The node that the route still names while its instance is down.
    behind: Option<NodeId>,
    tag: History<Option<Counter>>,
}

pub(crate) struct Ec2 {
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) instances: Vec<History<Running>>,
    /// Per node and group: the tag's key names the group.
    interface_tags: Vec<Vec<History<Option<Counter>>>>,
    /// The rest of each group: one more resource, which only the anchor's holder may touch.
    pub(crate) rests: Vec<History<Holder>>,
    /// Instances that EC2 refuses to stop (stop protection, Spot).
    pub(crate) protected: Vec<bool>,
    pub(crate) ill: Illnesses,
    /// So many of a thousand reads are old, always.
    stale: u64,
    latency: Duration,
    /// Taking from nobody what one already holds is a conflict.
    own_conflicts: bool,
    random: Random,
}

impl Ec2 {
    pub(crate) fn new(nodes: u8, groups: u8, mut random: Random) -> Self {
        let anchor = |random: &mut Random| Anchor {
            kind: random.pick(&[Kind::ElasticIp, Kind::PrivateIp, Kind::Route]),
            holder: History::new(random.pick(&[Holder::Nobody, Holder::Node(NodeId(0)), Holder::Orphaned])),
            behind: None,
            tag: History::new(None),
        };
        Self {
            anchors: (0..groups).map(|_| anchor(&mut random)).collect(),
            instances: (0..nodes).map(|_| History::new(Running::Yes)).collect(),
            interface_tags: vec![vec![History::new(None); usize::from(groups)]; usize::from(nodes)],
            rests: (0..groups)
                .map(|_| History::new(random.pick(&[Holder::Nobody, Holder::Node(NodeId(0))])))
                .collect(),
            protected: (0..nodes).map(|_| random.chance(70)).collect(),
            ill: Illnesses::default(),
            stale: random.pick(&[0, 0, 50, 500, 1000]),
            latency: random.pick(&[ms(5), ms(50), ms(150), ms(400)]),
            own_conflicts: random.chance(500),
            random,
        }
    }

    /// What becomes of a call that this node sends now.
    pub(crate) fn fate(&mut self, node: NodeId, write: bool) -> Fate {
        self.ill.fate(node, write, self.latency, &mut self.random)
    }

    /// The moment whose state a read sees that is carried out now.
    fn seen_at(&mut self, node: NodeId, now: Time) -> Time {
        let random = &mut self.random;
        let mut part = self.stale;
        for illness in self.ill.of(node) {
            if let Illness::Stale(more) = illness {
                part = part.max(more);
            }
        }
        if random.chance(part) { now - random.between(Duration::ZERO, LAG) } else { now }
    }

    pub(crate) fn read_anchor(&mut self, node: NodeId, group: GroupId, now: Time) -> AnchorRead {
        let then = self.seen_at(node, now);
        let tags_at = if self.random.chance(200) { self.seen_at(node, now) } else { then };
        let anchor = &self.anchors[usize::from(group.0)];
        let holder = anchor.holder.at(then);
        let owner = match holder {
            Holder::Node(it) if it == node => Owner::Mine,
            Holder::Node(it) => Owner::Theirs(it),
            Holder::Nobody => Owner::Nobody,
            Holder::Orphaned => Owner::Orphaned,
            Holder::Stranger => Owner::Stranger,
        };
        let counter = match (anchor.kind, holder) {
            (Kind::PrivateIp, Holder::Node(it)) => {
                self.interface_tags[usize::from(it.0)][usize::from(group.0)].at(tags_at)
            }
            (Kind::PrivateIp, Holder::Nobody | Holder::Orphaned | Holder::Stranger) => None,
            (Kind::ElasticIp | Kind::Route, _) => anchor.tag.at(tags_at),
        };
        AnchorRead { owner, counter }
    }

    pub(crate) fn read_instance(&mut self, by: NodeId, of: NodeId, now: Time) -> Running {
        let then = self.seen_at(by, now);
        self.instances[usize::from(of.0)].at(then)
    }

    /// Whether the rest of a group is with this node.
    pub(crate) fn read_rest(&mut self, by: NodeId, group: GroupId, now: Time) -> bool {
        let then = self.seen_at(by, now);
        self.rests[usize::from(group.0)].at(then) == Holder::Node(by)
    }

    /// Carries out a take. `Ok(true)`: the holder has changed.
    pub(crate) fn take(
        &mut self,
        by: NodeId,
        group: GroupId,
        from: TakeFrom,
        now: Time,
    ) -> Result<bool, Failure> {
        let own_conflicts = self.own_conflicts;
        let anchor = &mut self.anchors[usize::from(group.0)];
        let holder = anchor.holder.now();
        let allowed = match (from, holder) {
            (TakeFrom::Anyone, Holder::Nobody) => anchor.kind != Kind::Route,
            (TakeFrom::Anyone, Holder::Node(_) | Holder::Orphaned | Holder::Stranger) => true,
            (TakeFrom::Nobody, Holder::Nobody) => true,
            (TakeFrom::Nobody, Holder::Node(it)) => it == by && !own_conflicts,
            (TakeFrom::Nobody, Holder::Orphaned | Holder::Stranger) => false,
        };
        if !allowed {
            return Err(Failure::Conflict);
        }
        anchor.behind = None;
        anchor.holder.set(Holder::Node(by), now);
        Ok(holder != Holder::Node(by))
    }

    pub(crate) fn write_counter(&mut self, group: GroupId, counter: Counter, now: Time) {
        let anchor = &mut self.anchors[usize::from(group.0)];
        match anchor.kind {
            Kind::PrivateIp => {
                self.interface_tags[usize::from(counter.node.0)][usize::from(group.0)].set(Some(counter), now)
            }
            Kind::ElasticIp | Kind::Route => anchor.tag.set(Some(counter), now),
        }
    }

    /// By hand, or by somebody else.
    pub(crate) fn put(&mut self, group: GroupId, holder: Holder, now: Time) {
        let anchor = &mut self.anchors[usize::from(group.0)];
        anchor.behind = None;
        anchor.holder.set(holder, now);
    }

    /// The instance's state changes; what it holds may follow.
    pub(crate) fn set_instance(&mut self, node: NodeId, running: Running, gone: bool, now: Time) {
        self.instances[usize::from(node.0)].set(running, now);
        for anchor in &mut self.anchors {
            let holds = anchor.holder.now() == Holder::Node(node);
            match running {
                Running::Yes if anchor.behind == Some(node) => {
                    anchor.behind = None;
                    anchor.holder.set(Holder::Node(node), now);
                }
                Running::No if holds && anchor.kind == Kind::Route => {
                    anchor.behind = (!gone).then_some(node);
                    anchor.holder.set(Holder::Orphaned, now);
                }
                Running::No if holds && gone => anchor.holder.set(Holder::Nobody, now),
                Running::Yes | Running::Ending | Running::No => {}
            }
        }
    }
}
