//! How a service of AWS is ill, for one node or for all, and what that does to a call.

use std::time::Duration;

use standin::cluster::{Failure, NodeId, Random};

use crate::chance::{Chance, ms, secs};

/// A call that is on its way arrives within this, or never (design: two minutes).
const LATEST: Duration = secs(118);

/// How it is ill.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Illness {
    /// Nothing is answered.
    Hangs,
    /// The connection is refused.
    Unreachable,
    /// So many of a thousand calls are throttled.
    Throttles(u64),
    /// So many of a thousand writes land late, and are not answered.
    Late(u64),
    /// So many of a thousand calls are carried out and not answered.
    LosesAnswers(u64),
    /// Writes are denied.
    Denies,
    /// Each call takes so long, there and back.
    Slow(Duration),
    /// So many of a thousand reads are old.
    Stale(u64),
}

impl Illness {
    /// Whether a node that it befalls cannot be counted on to read.
    const fn hurts_reads(self) -> bool {
        match self {
            Self::Hangs | Self::Unreachable | Self::Throttles(_) | Self::LosesAnswers(_) | Self::Slow(_) => {
                true
            }
            Self::Late(_) | Self::Denies | Self::Stale(_) => false,
        }
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// When it is carried out, counted from its sending; `None`: never.
    pub(crate) acts_after: Option<Duration>,
    /// The answer is on its way so long; `None`: lost.
    pub(crate) answer_takes: Option<Duration>,
    /// It fails at once, so.
    pub(crate) fails: Option<Failure>,
}

/// All the illnesses of one service, with the fault that each is from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Illnesses(Vec<(usize, Option<NodeId>, Illness)>);

impl Illnesses {
    pub(crate) fn fall_ill(&mut self, fault: usize, node: Option<NodeId>, how: Illness) {
        self.0.push((fault, node, how));
    }

    pub(crate) fn recover(&mut self, fault: usize) {
        self.0.retain(|(it, _, _)| *it != fault);
    }

    pub(crate) fn recover_all(&mut self) {
        self.0.clear();
    }

    /// Whether it is ill for anyone.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn of(&self, node: NodeId) -> impl Iterator<Item = Illness> {
        self.0.iter().filter(move |(_, whom, _)| whom.is_none_or(|it| it == node)).map(|(_, _, how)| *how)
    }

    /// Whether this node's reads are answered.
    pub(crate) fn readable(&self, node: NodeId) -> bool {
        !self.of(node).any(Illness::hurts_reads)
    }

    /// Whether this node can do everything.
    pub(crate) fn well(&self, node: NodeId) -> bool {
        self.of(node).all(|it| matches!(it, Illness::Stale(_)))
    }

    /// What becomes of a call that this node sends now.
    pub(crate) fn fate(&self, node: NodeId, write: bool, latency: Duration, random: &mut Random) -> Fate {
        let mut there = random.between(latency / 4, latency);
        let mut back = Some(random.between(latency / 4, latency));
        let fails = |failure| Fate { acts_after: None, answer_takes: Some(ms(20)), fails: Some(failure) };
        for illness in self.of(node) {
            match illness {
                Illness::Hangs => return Fate { acts_after: None, answer_takes: None, fails: None },
                Illness::Unreachable => return fails(Failure::Passing),
                Illness::Throttles(part) if random.chance(part) => return fails(Failure::Passing),
                Illness::Denies if write => return fails(Failure::Refused),
                Illness::Late(part) if write && random.chance(part) => {
                    there = random.spread(ms(500), LATEST);
                    back = None;
                }
                Illness::LosesAnswers(part) if random.chance(part) => back = None,
                Illness::Slow(by) => {
                    there += random.between(Duration::ZERO, by);
                    back = back.map(|back| back + random.between(Duration::ZERO, by));
                }
                Illness::Throttles(_)
                | Illness::Denies
                | Illness::Late(_)
                | Illness::LosesAnswers(_)
                | Illness::Stale(_) => {}
            }
        }
        Fate { acts_after: Some(there), answer_takes: back, fails: None }
    }
}
