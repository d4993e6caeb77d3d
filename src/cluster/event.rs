//! What the core is told: facts, in the past tense.

use serde::{Deserialize, Serialize};

use super::anchor::AnchorRead;
use super::heartbeat::{Heartbeat, Tally};
use super::lease::Lease;
use super::node::{GroupId, LinkId, NodeId};

/// One fact.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Event {
    /// Time has passed: the deadline that the core asked for is over.
    Ticked,
    /// An authenticated heartbeat for this node arrived.
    HeartbeatReceived(Box<Heartbeat>),
    /// A datagram from a peer's address did not authenticate.
    DatagramRefused {
        /// Whose address it came from.
        peer: NodeId,
        /// On which link.
        link: LinkId,
    },
    /// A [`ReadAnchor`](super::Command::ReadAnchor) was answered.
    AnchorRead {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// What EC2 says.
        answer: Result<AnchorRead, Failure>,
    },
    /// A [`ReadInstance`](super::Command::ReadInstance) was answered.
    InstanceRead {
        /// The node whose instance it is.
        node: NodeId,
        /// The call's number.
        call: u64,
        /// What EC2 says; `None`: it does not know the instance.
        answer: Result<Option<Running>, Failure>,
    },
    /// A [`TakeAnchor`](super::Command::TakeAnchor) was answered, or not in time.
    TakeAnswered {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// What EC2 says.
        answer: Result<(), Failure>,
    },
    /// A [`WriteCounter`](super::Command::WriteCounter) was answered.
    CounterWritten {
        /// Of which group.
        group: GroupId,
        /// Whether EC2 has it.
        ok: bool,
    },
    /// A [`WriteOwnTag`](super::Command::WriteOwnTag) was answered.
    OwnTagWritten {
        /// Of which group.
        group: GroupId,
        /// Whether EC2 has it.
        ok: bool,
    },
    /// A [`Fence`](super::Command::Fence) was answered, or not in time.
    Fenced {
        /// On behalf of which group.
        group: GroupId,
        /// Whose instance.
        node: NodeId,
        /// The call's number.
        call: u64,
        /// Whether EC2 has accepted it; `Refused`: it never will (a protection, a Spot Instance, a missing right).
        answer: Result<(), Failure>,
    },
    /// A [`Recover`](super::Command::Recover) was answered, or not in time.
    Recovered {
        /// Whose instance.
        node: NodeId,
        /// The call's number.
        call: u64,
        /// Whether EC2 has accepted it.
        answer: Result<(), Failure>,
    },
    /// A [`Probe`](super::Command::Probe) has ended.
    Probed {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// Whether the service answered.
        answered: bool,
    },
    /// A [`ReadLease`](super::Command::ReadLease) was answered.
    LeaseRead {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// What stands there; `None`: there is no lease.
        answer: Result<Option<Lease>, Failure>,
    },
    /// A [`WriteLease`](super::Command::WriteLease) was answered, or not in time.
    LeaseWritten {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// `Conflict`: something else stood there.
        answer: Result<(), Failure>,
    },
    /// The world has reached the state last asked for by [`Converge`](super::Command::Converge).
    Converged {
        /// Which group.
        group: GroupId,
        /// The number of that command.
        change: u64,
    },
    /// This node's own EC2 identity has become known: its instance and its interfaces.
    IdentityLearned {
        /// "i-0…".
        instance: String,
        /// "eni-0…".
        interfaces: Vec<String>,
    },
    /// Whether this node could take the group now has changed, as far as the shell can tell.
    AbilityChanged {
        /// Which group.
        group: GroupId,
        /// `Err`: why not.
        able: Result<(), String>,
    },
    /// The group's service has become fit to serve, or has failed for good here.
    ServiceChanged {
        /// Which group.
        group: GroupId,
        /// Whether it is fit.
        fit: bool,
    },
    /// The group's service has failed here; the shell has restarted it, or will.
    ServiceFailed {
        /// Which group.
        group: GroupId,
        /// How.
        how: ServiceFailure,
    },
    /// What the group's service is doing here has changed.
    Counted {
        /// Which group.
        group: GroupId,
        /// What the others are to know.
        tally: Tally,
    },
    /// An operator's wish.
    Asked(Wish),
    /// The process was told to end.
    ShutdownAsked(Shutdown),
}

/// How a service failed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum ServiceFailure {
    /// It ran, and failed.
    Running,
    /// It did not start: that bars at once.
    Start,
}

/// What an operator can ask for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Wish {
    /// Hand the group over, to this node or to the best one.
    Switchover(GroupId, Option<NodeId>),
    /// Maintenance of the group, on or off.
    Maintenance(GroupId, bool),
    /// This node is not to be active for the group (or may be again).
    Standby(GroupId, bool),
    /// Forget the service's failures on this node.
    Cleanup(GroupId),
    /// This node is to take the group now, whatever is known (`takeover --force`).
    TakeOver(GroupId),
}

/// Why the process ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Shutdown {
    /// For good, or with the system: hand over, say goodbye.
    Stop,
    /// It will be back at once: announce it and leave everything running.
    Restart,
}

/// Whether an instance runs, according to EC2.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Running {
    /// Pending or running.
    Yes,
    /// Stopping or shutting down: it cannot come back as the same boot.
    Ending,
    /// Stopped or terminated.
    No,
}

/// How a call failed, as far as the decision cares.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Failure {
    /// Somebody else was faster.
    Conflict,
    /// It will fail again in the same way: denied, or against a rule.
    Refused,
    /// It was not carried out, and may work soon: throttled, unreachable.
    Passing,
    /// Nobody knows whether it was carried out.
    NoAnswer,
}
