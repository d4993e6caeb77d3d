//! What goes wrong, and when: drawn from the seed before the run begins.

mod draw;
mod operate;

use std::time::Duration;

use standin::cluster::{GroupId, NodeId, Time};

use crate::model::ec2::Holder;
use crate::model::illness::Illness;
use crate::model::net::{Scope, Trouble};

pub(crate) use self::draw::plan;

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Network(Scope, Trouble),
    /// Old datagrams are sent again to this node, fifty a second.
    Replay(NodeId),
    /// A path is cut and mended, again and again.
    Flaps(Scope),
    /// EC2 is ill.
    Cloud(Option<NodeId>, Illness),
    /// DynamoDB is ill.
    Lease(Option<NodeId>, Illness),
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
    /// The service fails, so often.
    Fails {
        node: NodeId,
        group: GroupId,
        times: u32,
    },
    /// The service does not start.
    StartFails(NodeId, GroupId),
    Cleanup(NodeId, GroupId),
    /// `takeover --force`.
    TakeOver(NodeId, GroupId),
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
            Self::Flaps(_) => "flapping",
            Self::Cloud(_, Illness::Hangs) => "ec2-hangs",
            Self::Cloud(_, Illness::Unreachable) => "ec2-unreachable",
            Self::Cloud(_, Illness::Throttles(_)) => "ec2-throttles",
            Self::Cloud(_, Illness::Late(_)) => "ec2-late-calls",
            Self::Cloud(_, Illness::LosesAnswers(_)) => "ec2-lost-answers",
            Self::Cloud(_, Illness::Denies) => "ec2-denies",
            Self::Cloud(_, Illness::Slow(_)) => "ec2-slow",
            Self::Cloud(_, Illness::Stale(_)) => "ec2-stale",
            Self::Lease(_, Illness::Hangs) => "lease-hangs",
            Self::Lease(_, Illness::Unreachable) => "lease-unreachable",
            Self::Lease(_, Illness::Throttles(_)) => "lease-throttles",
            Self::Lease(_, Illness::Late(_)) => "lease-late-calls",
            Self::Lease(_, Illness::LosesAnswers(_)) => "lease-lost-answers",
            Self::Lease(_, Illness::Denies) => "lease-denies",
            Self::Lease(_, Illness::Slow(_)) => "lease-slow",
            Self::Lease(_, Illness::Stale(_)) => "lease-stale",
            Self::Fails { .. } => "service-fails",
            Self::StartFails(..) => "start-fails",
            Self::Cleanup(..) => "cleanup",
            Self::TakeOver(..) => "forced-takeover",
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
