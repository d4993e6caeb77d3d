//! The decision table: what is known of the anchor and its holder -> what this node does.
//!
//! The rows are those of the design, by number; the first one that matches wins. This file is a pure
//! function of a [`View`]: no time passes in it, nothing is remembered. [`SITUATIONS`] says what it has to
//! decide and why; the tests and `docs/decision-table.md` are made from that list.

mod columns;
mod situation;
mod situations;

pub use columns::Columns;
pub use situation::{Fact, Situation};
pub use situations::SITUATIONS;

use serde::{Deserialize, Serialize};

use super::anchor::Owner;
use super::command::TakeFrom;
use super::node::NodeId;

/// A row of the table.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Row {
    /// The group is in maintenance.
    Maintenance = 1,
    /// What EC2 says is too young, after a change, to be believed against it.
    NotSettled = 2,
    /// Active, the anchor is mine, the service is fit.
    Serve = 3,
    /// Active, but the service has failed here for good.
    Barred = 4,
    /// Active, and the anchor is another's.
    Yield = 5,
    /// Active, and nobody holds the anchor.
    Retake = 6,
    /// Active, and EC2 does not say who holds it.
    ServeBlind = 7,
    /// Active, EC2 does not answer and no peer is heard.
    Isolated = 8,
    /// Standby, and the anchor is mine.
    OwnAnchor = 9,
    /// Standby, the anchor is mine, and the service is not fit.
    OwnUnfit = 10,
    /// Standby, and the holder offers.
    Offered = 11,
    /// Standby, and the holder is heard as active.
    Watch = 12,
    /// Standby, and the holder is heard, but not as active.
    HolderIdle = 13,
    /// Standby, and the holder said that it will be back.
    BackSoon = 14,
    /// Standby, and there is proof that the holder cannot be serving.
    Proof = 15,
    /// Standby, armed, and the holder is silent.
    Silent = 16,
    /// Standby, the holder is silent, and only its counter can tell.
    CounterAtRest = 17,
    /// Standby, and nobody holds the anchor.
    Free = 18,
    /// Standby, and a stranger holds it.
    Stranger = 19,
    /// Standby, and EC2 does not say who holds it.
    Unknown = 20,
}

impl Row {
    /// Every row, in order.
    pub const ALL: [Self; 20] = [
        Self::Maintenance,
        Self::NotSettled,
        Self::Serve,
        Self::Barred,
        Self::Yield,
        Self::Retake,
        Self::ServeBlind,
        Self::Isolated,
        Self::OwnAnchor,
        Self::OwnUnfit,
        Self::Offered,
        Self::Watch,
        Self::HolderIdle,
        Self::BackSoon,
        Self::Proof,
        Self::Silent,
        Self::CounterAtRest,
        Self::Free,
        Self::Stranger,
        Self::Unknown,
    ];

    /// Its number in the table.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether a standby takes the group in it, or an active node takes it back.
    pub const fn is_take(self) -> bool {
        match self {
            Self::Retake
            | Self::Offered
            | Self::HolderIdle
            | Self::Proof
            | Self::Silent
            | Self::CounterAtRest
            | Self::Free => true,
            Self::Maintenance
            | Self::NotSettled
            | Self::Serve
            | Self::Barred
            | Self::Yield
            | Self::ServeBlind
            | Self::Isolated
            | Self::OwnAnchor
            | Self::OwnUnfit
            | Self::Watch
            | Self::BackSoon
            | Self::Stranger
            | Self::Unknown => false,
        }
    }

    /// The situation in a few words, for log and status.
    pub const fn situation(self) -> &'static str {
        match self {
            Self::Maintenance => "the group is in maintenance: report, change nothing",
            Self::NotSettled => "something has just changed, and EC2's reads may lag: keep what runs",
            Self::Serve => "active, and EC2 says that the anchor is ours: serve, repair the rest",
            Self::Barred => "active, but the service has failed here: offer the group",
            Self::Yield => "active, but the anchor is another's: yield",
            Self::Retake => "active, and the anchor is with nobody: take it back",
            Self::ServeBlind => {
                "active, and EC2 does not say who holds the anchor: serve, change nothing in EC2"
            }
            Self::Isolated => "active, EC2 does not answer and no peer is heard; or the lease has lapsed",
            Self::OwnAnchor => "EC2 says that the anchor is ours: become active",
            Self::OwnUnfit => "the anchor is ours, but the service is not fit here: offer the group",
            Self::Offered => "the holder offers the group: take it",
            Self::Watch => "the holder is heard, and active: watch",
            Self::HolderIdle => "the holder is heard, but not active: wait for it or for its offer",
            Self::BackSoon => "the holder restarts and said that it will be back: wait",
            Self::Proof => "the holder cannot be serving: take the group",
            Self::Silent => "the holder was active and has fallen silent: take the group",
            Self::CounterAtRest => {
                "the holder is silent, and only its counter in EC2 can tell whether it lives"
            }
            Self::Free => "the anchor is with nobody: take it",
            Self::Stranger => "the anchor is with a stranger: an operator has to act",
            Self::Unknown => "EC2 does not say who holds the anchor: ask again",
        }
    }
}

/// Everything that a decision may depend on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// The group is in maintenance.
    pub maintenance: bool,
    /// The last read is young enough against the last change, or agrees with it.
    pub settled: bool,
    /// Who holds the anchor; `None`: unknown, which means that no read of the last 30 s was answered.
    pub anchor: Option<Owner>,
    /// Whether the last read of it failed: then nothing is repaired.
    pub reads_fail: bool,
    /// This node is active.
    pub active: bool,
    /// This node's service is fit.
    pub fit: bool,
    /// Any other node of the group is heard.
    pub peer_heard: bool,
    /// The anchor is with nobody, and yet the calls that take from nobody conflict (rows 6 and 18).
    pub contested: bool,
    /// A peer that is heard as active, with a higher term, and says that EC2 named it the holder.
    pub outranked_by: Option<NodeId>,
    /// First-dead-after has passed since this situation began (rows 10 and 13).
    pub patience_over: bool,
    /// Not fit, but by failures alone, and no node is heard that could take the group (row 10).
    pub last_resort: bool,
    /// Whether silence moves the group: `when-silent`, and what the probe says; with a lease it never does.
    pub take_when_silent: bool,
    /// This node is active, and its lease has lapsed, or is about to.
    pub lapsed: bool,
    /// Whether an isolated active node stops serving.
    pub release_when_isolated: bool,
    /// What is known of the holder, if it is another node.
    pub holder: Holder,
}

/// What is known of the node that holds the anchor.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Holder {
    /// It offers the group to this node.
    pub offers: bool,
    /// It is heard.
    pub heard: bool,
    /// It says that it is active.
    pub active: bool,
    /// It announced a restart whose time is not over.
    pub back_soon: bool,
    /// It cannot be serving: EC2's word or its own goodbye.
    pub proof: bool,
    /// It is silent for dead-after (never heard: first-dead-after).
    pub silent: bool,
    /// It was heard as active in this tenure.
    pub armed: bool,
    /// With three and more nodes: a majority is heard, and nobody hears the holder. Else true.
    pub lost_to_all: bool,
    /// Its counter stands still, and a tag write of our own was answered.
    pub at_rest: bool,
}

/// What a row calls for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Change nothing at all.
    Keep,
    /// Serve; with `repair`, keep the rest in EC2 as it should be.
    Serve {
        /// Whether EC2 may be changed.
        repair: bool,
    },
    /// Become standby: the anchor is another's.
    Yield,
    /// Become active: the anchor is mine.
    Become,
    /// Take the anchor; a standby passes the GATE first.
    Take(TakeFrom),
    /// Offer the group to whoever is eligible.
    Offer,
    /// Stay standby, with the service in its standby state.
    Wait,
    /// As [`Action::Wait`], and an operator has to know.
    Alarm,
    /// Stop serving without knowing who serves.
    Release,
}

/// Decides: the row that matches first, and what it calls for.
pub fn decide(view: &View) -> (Row, Action) {
    if view.maintenance {
        return (Row::Maintenance, Action::Keep);
    }
    let (row, action) = if view.active { as_active(view) } else { as_standby(view) };
    let allowed = match action {
        Action::Take(_) => row != Row::Free,
        Action::Offer => true,
        Action::Keep
        | Action::Serve { .. }
        | Action::Yield
        | Action::Become
        | Action::Wait
        | Action::Alarm
        | Action::Release => false,
    };
    // A lease that has lapsed waits for nothing.
    if view.settled || view.lapsed || allowed { (row, action) } else { (Row::NotSettled, Action::Keep) }
}

fn as_active(view: &View) -> (Row, Action) {
    if view.lapsed {
        // Without the lease nobody serves, whether the table names another one, nobody, or does not answer.
        let theirs = matches!(view.anchor, Some(Owner::Theirs(_)));
        return if theirs { (Row::Yield, Action::Yield) } else { (Row::Isolated, Action::Release) };
    }
    match view.anchor {
        Some(Owner::Mine) if view.fit => (Row::Serve, Action::Serve { repair: !view.reads_fail }),
        // What EC2 does not tell us it has told the peer: two would serve for as long as EC2 is away from us.
        None if view.outranked_by.is_some() => (Row::Yield, Action::Yield),
        Some(Owner::Mine) | None if !view.fit => (Row::Barred, Action::Offer),
        Some(Owner::Theirs(_) | Owner::Stranger) => (Row::Yield, Action::Yield),
        Some(Owner::Nobody) => (Row::Retake, Action::Take(from_nobody(view))),
        Some(Owner::Orphaned) => (Row::Retake, Action::Take(TakeFrom::Anyone)),
        Some(Owner::Mine) | None if view.peer_heard => (Row::ServeBlind, Action::Serve { repair: false }),
        Some(Owner::Mine) | None if view.release_when_isolated => (Row::Isolated, Action::Release),
        Some(Owner::Mine) | None => (Row::Isolated, Action::Serve { repair: false }),
    }
}

fn as_standby(view: &View) -> (Row, Action) {
    match view.anchor {
        Some(Owner::Mine) if view.fit => (Row::OwnAnchor, Action::Become),
        // A service that has failed too often is better than none, and restarted with back-off (row 4).
        Some(Owner::Mine) if view.patience_over && view.last_resort => (Row::OwnUnfit, Action::Become),
        Some(Owner::Mine) if view.patience_over => (Row::OwnUnfit, Action::Offer),
        Some(Owner::Mine) => (Row::OwnUnfit, Action::Keep),
        Some(Owner::Theirs(_)) => with_holder(view),
        Some(Owner::Nobody) => (Row::Free, Action::Take(from_nobody(view))),
        Some(Owner::Orphaned) => (Row::Free, Action::Take(TakeFrom::Anyone)),
        Some(Owner::Stranger) => (Row::Stranger, Action::Alarm),
        None => (Row::Unknown, Action::Keep),
    }
}

/// From nobody, in the call that fails if somebody was faster. But what is in the way may be something else
/// than a faster one (another Elastic IP on the address that this one goes to), and then that call fails for
/// ever.
fn from_nobody(view: &View) -> TakeFrom {
    if view.contested { TakeFrom::Anyone } else { TakeFrom::Nobody }
}

fn with_holder(view: &View) -> (Row, Action) {
    let holder = &view.holder;
    let take = Action::Take(TakeFrom::Anyone);
    if holder.offers {
        return (Row::Offered, take);
    }
    if holder.heard {
        return if holder.active {
            (Row::Watch, Action::Wait)
        } else {
            (Row::HolderIdle, if view.patience_over { take } else { Action::Wait })
        };
    }
    if holder.back_soon {
        return (Row::BackSoon, Action::Wait);
    }
    if holder.proof {
        return (Row::Proof, take);
    }
    let on_silence = if view.take_when_silent { take } else { Action::Wait };
    if holder.silent && holder.armed && holder.lost_to_all {
        return (Row::Silent, on_silence);
    }
    let rests = holder.silent && holder.at_rest;
    (Row::CounterAtRest, if rests { on_silence } else { Action::Wait })
}

#[cfg(test)]
mod tests;
