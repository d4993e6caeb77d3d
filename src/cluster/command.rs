//! What the core wants done: imperatives. The shell carries them out and reports back with events.

use serde::{Deserialize, Serialize};

use super::heartbeat::Heartbeat;
use super::lease::Lease;
use super::node::{GroupId, NodeId};
use super::notice::Notice;
use super::settings::Memory;
use super::time::Time;

/// One thing to do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Command {
    /// Send this heartbeat to its `to`, over its `link`. Not recorded: it follows from the inputs.
    #[serde(skip)]
    Send(Box<Heartbeat>),
    /// Ask EC2 who holds the anchor, and answer with [`AnchorRead`](super::Event::AnchorRead).
    ReadAnchor {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
    },
    /// Ask EC2 whether a node's instance runs.
    ReadInstance {
        /// Whose.
        node: NodeId,
        /// The call's number.
        call: u64,
    },
    /// Take the anchor, in one atomic call.
    TakeAnchor {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// From whom.
        from: TakeFrom,
    },
    /// Write node, session and this number into the anchor's tag.
    WriteCounter {
        /// Of which group.
        group: GroupId,
        /// The number.
        n: u64,
    },
    /// Write a tag on this node's own interface, to learn whether EC2 takes our writes.
    WriteOwnTag {
        /// On behalf of which group.
        group: GroupId,
    },
    /// Ask EC2 to stop a node's instance, at once and without a word to its system (StopInstances with Force and
    /// SkipOsShutdown), and answer with [`Fenced`](super::Event::Fenced). Whether it has stopped, a
    /// [`ReadInstance`](Self::ReadInstance) tells.
    Fence {
        /// On behalf of which group.
        group: GroupId,
        /// Whose instance.
        node: NodeId,
        /// The call's number.
        call: u64,
    },
    /// Ask EC2 to bring a lost node's instance back, and answer with [`Recovered`](super::Event::Recovered).
    Recover {
        /// Whose instance.
        node: NodeId,
        /// How.
        remedy: Remedy,
        /// The call's number.
        call: u64,
    },
    /// Ask the service at the address that moves, as a caller would, and answer with
    /// [`Probed`](super::Event::Probed).
    Probe {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
    },
    /// Read the lease (a consistent read), and answer with [`LeaseRead`](super::Event::LeaseRead).
    ReadLease {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
    },
    /// Write the lease on a condition, and answer with [`LeaseWritten`](super::Event::LeaseWritten). It is sent
    /// once: a repetition is a command of its own.
    WriteLease {
        /// Of which group.
        group: GroupId,
        /// The call's number.
        call: u64,
        /// The nonce that must stand there; `None`: there must be no lease.
        expect: Option<u64>,
        /// What to write.
        lease: Lease,
    },
    /// The guard process is to kill the group's service at this moment (CLOCK_BOOTTIME), unless it is told another
    /// one before; `None`: never, the service has stopped.
    Guard {
        /// Of which group.
        group: GroupId,
        /// When.
        until: Option<Time>,
    },
    /// Make the world of this group so: the latest one counts.
    Converge {
        /// Which group.
        group: GroupId,
        /// How.
        desired: Desired,
        /// Its number, for [`Converged`](super::Event::Converged).
        change: u64,
    },
    /// Remember this.
    Store {
        /// Of which group.
        group: GroupId,
        /// What.
        memory: Memory,
    },
    /// Tell the operator.
    #[serde(skip)]
    Tell(Notice),
    /// End the process: everything is said.
    Exit,
}

/// What can be done about an instance whose node is lost.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Remedy {
    /// RebootInstances.
    Reboot,
    /// The first half of a restart: StopInstances with Force and SkipOsShutdown.
    Stop,
    /// StartInstances: the second half, or of one that was fenced.
    Start,
}

impl Remedy {
    /// "EC2 is asked to … its instance".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Stop => "stop and start",
            Self::Start => "start",
        }
    }
}

/// From whom the anchor is taken.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum TakeFrom {
    /// Whoever holds it.
    Anyone,
    /// Nobody: the call fails if somebody was faster.
    Nobody,
}

/// How a group's world on this node should be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Desired {
    /// This node serves: service active, guest addresses set up; with `repair` also everything but the
    /// anchor taken and repaired in EC2.
    Serve {
        /// Whether EC2 may be changed.
        repair: bool,
    },
    /// This node does not serve: service in its standby state, guest addresses gone. Nothing changes in EC2.
    Standby,
}
