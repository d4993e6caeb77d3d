//! What a configuration says about safety: silence, fencing, the lease, and the service that has to stop.

use std::net::SocketAddr;
use std::time::Duration;

/// What a standby does when the active node is silent and nothing else is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenSilent {
    /// Take over.
    #[default]
    Take,
    /// Ask the service at the address that moves: [`Group::probe`](super::Group::probe).
    Probe,
    /// Wait for proof or the operator.
    Hold,
}

impl WhenSilent {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Probe => "probe",
            Self::Hold => "hold",
        }
    }
}

/// What an active node does that reaches neither EC2 nor a peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenIsolated {
    /// Go on serving.
    #[default]
    Keep,
    /// Stop serving.
    Release,
}

impl WhenIsolated {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Release => "release",
        }
    }
}

/// How the service is asked at the address that moves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// No answer after so long is none.
    pub timeout: Duration,
}

/// What is asked, as a caller would.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ask {
    /// A SIP OPTIONS request over UDP (RFC 3261, 11); any response of the service is an answer.
    SipOptions(SocketAddr),
    /// A TCP connection.
    Tcp(SocketAddr),
    /// Program and arguments; exit code 0 is an answer.
    Command(Vec<String>),
}

/// Whether EC2 stops the old active before, or while, the group is taken from it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fencing {
    /// It is not stopped.
    #[default]
    None,
    /// It is stopped, confirmed, and then the group is taken.
    Before,
    /// It is told to stop while the group is taken.
    Alongside,
}

impl Fencing {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Before => "before",
            Self::Alongside => "alongside",
        }
    }
}

/// What a standby does when fencing has failed for good.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WhenFencingFails {
    /// Wait for proof or the operator.
    #[default]
    Hold,
    /// Take over all the same.
    Take,
}

impl WhenFencingFails {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Take => "take",
        }
    }
}

/// What decides who owns a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Arbiter {
    /// EC2: who holds the anchor.
    #[default]
    Ec2,
    /// DynamoDB: who holds the lease.
    Dynamodb,
}

impl Arbiter {
    /// As in the file.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Dynamodb => "dynamodb",
        }
    }
}

/// The leases of the groups whose arbiter is DynamoDB.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The table.
    pub table: String,
    /// How long a lease lasts from the start of the first attempt of a renewal.
    pub length: Duration,
    /// How long a service may take to stop.
    pub stop_bound: Duration,
    /// How long a lapsed lease may be outlived while DynamoDB does not answer and every other node of the group
    /// is heard as standby; `None`: not at all.
    pub grace: Option<Duration>,
    /// Another endpoint for DynamoDB.
    pub endpoint_url: Option<String>,
}
