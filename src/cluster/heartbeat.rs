//! What a node says about itself: the content of a heartbeat. The bytes are in `wire`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::anchor::Owner;
use super::node::{GroupId, LinkId, NodeId, NodeSet, Session};

/// One heartbeat, from one node to one other node over one link.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Heartbeat {
    /// Who says it.
    pub from: NodeId,
    /// To whom; a datagram that was recorded on its way to another node is refused.
    pub to: NodeId,
    /// Over which link; a sequence counts on one link only.
    pub link: LinkId,
    /// The sender's life.
    pub session: Session,
    /// Grows with each datagram of this session to this node on this link.
    pub sequence: u64,
    /// What the receiver must echo before the sender believes the receiver's session.
    pub nonce: u64,
    /// The receiver's session and nonce, as the sender last heard them.
    pub echo: Option<Echo>,
    /// The sender's clock when it sent this, in microseconds; only the sender can read it.
    pub sent_us: u64,
    /// What the sender last received from the receiver on this link, for the round-trip time.
    pub reply: Option<Reply>,
    /// "Answer at once": the sender has not heard the receiver for `warn-after`.
    pub ask: bool,
    /// The sender leaves: it will not be active again in this session.
    pub goodbye: bool,
    /// The sender restarts and leaves everything running: "back in so long".
    pub back_in: Option<Duration>,
    /// The receiver's `back_in` or goodbye was received (the leaving process waits for this).
    pub farewell_seen: bool,
    /// Whom the sender hears.
    pub hears: NodeSet,
    /// Hash of the sender's effective configuration.
    pub config_hash: u64,
    /// The EC2 instance that the sender runs on, once it knows ("i-0…").
    pub instance: Option<String>,
    /// The network interfaces of that instance, once it knows them ("eni-0…").
    pub interfaces: Vec<String>,
    /// What the sender says about each group that it is in.
    pub groups: Vec<GroupReport>,
}

/// "I heard you": the receiver's session and nonce.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Echo {
    /// The receiver's session.
    pub session: Session,
    /// The receiver's nonce.
    pub nonce: u64,
}

/// The last heartbeat that the sender got from the receiver on this link.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reply {
    /// Its `sent_us`, given back.
    pub sent_us: u64,
    /// How long the sender held it, in microseconds.
    pub held_us: u64,
}

/// A node's part in a group.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Role {
    /// It could be the owner; it does not serve.
    #[default]
    Standby,
    /// It serves, as the owner.
    Active,
}

impl Role {
    /// As operators read it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
        }
    }
}

/// Why a node could not take a group now. The number is how it stands in a heartbeat, which has no room for words:
/// those are in the node's own `status`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum WhyNot {
    /// It lacks what the group needs: an interface in EC2, the service, a check, the guard.
    Lacks = 1,
    /// Its agent is stopping.
    Leaving = 2,
    /// It held the lease, could not serve, and lets the others go first.
    StandsAside = 3,
    /// An operator set it to standby.
    Standby = 4,
    /// The group is in maintenance.
    Maintenance = 5,
    /// The service has failed there too often.
    Barred = 6,
    /// The service is not fit there.
    Unfit = 7,
    /// EC2 has not told it lately who holds the anchor.
    AnchorUnknown = 8,
    /// DynamoDB has not told it lately who holds the lease.
    LeaseUnknown = 9,
}

impl WhyNot {
    /// Each of them.
    pub const ALL: [Self; 9] = [
        Self::Lacks,
        Self::Leaving,
        Self::StandsAside,
        Self::Standby,
        Self::Maintenance,
        Self::Barred,
        Self::Unfit,
        Self::AnchorUnknown,
        Self::LeaseUnknown,
    ];

    /// Why, in words that follow "it could not take the group: ".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Lacks => "something that the group needs is lacking or does not work there",
            Self::Leaving => "its agent is stopping",
            Self::StandsAside => "it held the lease and could not serve: for a minute the others go first",
            Self::Standby => "an operator set it to standby",
            Self::Maintenance => "the group is in maintenance",
            Self::Barred => "the service has failed there too often, and is barred until cleanup",
            Self::Unfit => "a check has failed there",
            Self::AnchorUnknown => "EC2 has not told it within the last 30 s who holds the anchor",
            Self::LeaseUnknown => "DynamoDB has not told it within the last 30 s who holds the lease",
        }
    }
}

/// What a node says about one group.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct GroupReport {
    /// Which group.
    pub group: GroupId,
    /// The sender's part in it. `Active` is a claim, made with `term`.
    pub role: Role,
    /// The highest term that the sender knows; its own if it is active.
    pub term: u64,
    /// Whether the sender could take the group now.
    pub eligible: bool,
    /// Why not; `None` also from a version that does not say so.
    pub why_not: Option<WhyNot>,
    /// Whether its service is fit to serve: `false` bars it.
    pub fit: bool,
    /// Who holds the anchor, as the sender last read it; `Mine` is the sender.
    pub owner: Option<Owner>,
    /// How often the service has failed there.
    pub fail_count: u32,
    /// Maintenance as the sender knows it; the newest setting wins.
    pub maintenance: Maintenance,
    /// "Take the group", repeated until it is settled.
    pub offer: Option<Offer>,
    /// The sender's answer to the receiver's offer of this number: it is ready, or already takes.
    pub ready: Option<u64>,
    /// What its service is doing.
    pub tally: Tally,
}

/// What a node's service is doing, so that the others know it when the node falls silent. It decides nothing.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Tally {
    /// Channels that are up; `None`: nobody counts them.
    pub calls: Option<u16>,
    /// Another number after each time that the node has taken registrations back at their registrars: whoever
    /// has registered the same contact has to do so again.
    pub unregistered: Option<u8>,
}

/// The group's maintenance setting.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(default)]
pub struct Maintenance {
    /// Grows with each change; the higher one wins.
    pub version: u64,
    /// Whether it is on. At equal versions `true` wins: it is the cautious one.
    pub on: bool,
}

/// The owner's offer to hand the group over.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offer {
    /// Its number, unique in the offerer's session.
    pub id: u64,
    /// The offerer's term; what the taker becomes is higher.
    pub term: u64,
    /// To whom; `None`: to whoever is eligible.
    pub to: Option<NodeId>,
    /// How long it holds, from receipt. The taker sends its call within half of it.
    pub ttl: Duration,
    /// Whether the taker may take at once: warm, or the service has stopped.
    pub stopped: bool,
}
