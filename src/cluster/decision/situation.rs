//! What a situation is: facts, the row that they match, and why that is right.

use super::{Action, Holder, Row, View};
use crate::cluster::anchor::Owner;
use crate::cluster::node::NodeId;

/// One fact. What no fact is about is as [`Situation::view`] begins: settled, reads answered, the service fit,
/// no peer heard, nothing known of the holder, everything configured as it is by default.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fact {
    /// See [`View::maintenance`].
    Maintenance,
    /// Not [`View::settled`].
    NotSettled,
    /// See [`View::reads_fail`].
    ReadsFail,
    /// Not [`View::fit`].
    Unfit,
    /// See [`View::peer_heard`].
    PeerHeard,
    /// See [`View::contested`].
    Contested,
    /// See [`View::outranked_by`].
    Outranked,
    /// See [`View::patience_over`].
    PatienceOver,
    /// See [`View::last_resort`].
    LastResort,
    /// Not [`View::take_when_silent`].
    Hold,
    /// See [`View::release_when_isolated`].
    MayRelease,
    /// See [`View::lapsed`]; it is about an active node.
    Lapsed,
    /// See [`Holder::offers`].
    Offers,
    /// See [`Holder::heard`].
    Heard,
    /// See [`Holder::active`].
    SaysActive,
    /// See [`Holder::back_soon`].
    BackSoon,
    /// See [`Holder::proof`].
    Proof,
    /// See [`Holder::silent`].
    Silent,
    /// See [`Holder::armed`].
    Armed,
    /// Not [`Holder::lost_to_all`].
    NotLostToAll,
    /// See [`Holder::at_rest`].
    AtRest,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Self; 21] = [
        Self::Maintenance,
        Self::NotSettled,
        Self::ReadsFail,
        Self::Unfit,
        Self::PeerHeard,
        Self::Contested,
        Self::Outranked,
        Self::PatienceOver,
        Self::LastResort,
        Self::Hold,
        Self::MayRelease,
        Self::Lapsed,
        Self::Offers,
        Self::Heard,
        Self::SaysActive,
        Self::BackSoon,
        Self::Proof,
        Self::Silent,
        Self::Armed,
        Self::NotLostToAll,
        Self::AtRest,
    ];

    /// The fact in a few words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::NotSettled => "not settled",
            Self::ReadsFail => "the last read failed",
            Self::Unfit => "my service is not fit",
            Self::PeerHeard => "a peer is heard",
            Self::Contested => "taking from nobody has conflicted three times",
            Self::Outranked => "a peer heard as active has a higher term, and the anchor from EC2",
            Self::PatienceOver => "first-dead-after is over",
            Self::LastResort => {
                "it failed, nothing else is against it, and no node is heard that could take the group"
            }
            Self::Hold => "silence moves nothing (`when-silent`, or a lease)",
            Self::MayRelease => "`when-isolated = \"release\"`",
            Self::Lapsed => "my lease has lapsed",
            Self::Offers => "the holder offers to me",
            Self::Heard => "the holder is heard",
            Self::SaysActive => "it says active",
            Self::BackSoon => "it said \"back in 10 s\"",
            Self::Proof => "proof",
            Self::Silent => "the holder is silent",
            Self::Armed => "armed",
            Self::NotLostToAll => "no majority heard, or somebody hears the holder",
            Self::AtRest => "its counter rests, and EC2 takes my writes",
        }
    }

    /// Whether it is about the node that holds the anchor.
    pub const fn of_holder(self) -> bool {
        match self {
            Self::Maintenance
            | Self::NotSettled
            | Self::ReadsFail
            | Self::Unfit
            | Self::PeerHeard
            | Self::Contested
            | Self::Outranked
            | Self::PatienceOver
            | Self::LastResort
            | Self::Hold
            | Self::MayRelease
            | Self::Lapsed => false,
            Self::Offers
            | Self::Heard
            | Self::SaysActive
            | Self::BackSoon
            | Self::Proof
            | Self::Silent
            | Self::Armed
            | Self::NotLostToAll
            | Self::AtRest => true,
        }
    }

    /// Makes it true of `view`.
    pub const fn apply(self, view: &mut View) {
        let holder = &mut view.holder;
        match self {
            Self::Maintenance => view.maintenance = true,
            Self::NotSettled => view.settled = false,
            Self::ReadsFail => view.reads_fail = true,
            Self::Unfit => view.fit = false,
            Self::PeerHeard => view.peer_heard = true,
            Self::Contested => view.contested = true,
            Self::Outranked => view.outranked_by = Some(NodeId(1)),
            Self::PatienceOver => view.patience_over = true,
            Self::LastResort => view.last_resort = true,
            Self::Hold => view.take_when_silent = false,
            Self::MayRelease => view.release_when_isolated = true,
            Self::Lapsed => view.lapsed = true,
            Self::Offers => holder.offers = true,
            Self::Heard => holder.heard = true,
            Self::SaysActive => holder.active = true,
            Self::BackSoon => holder.back_soon = true,
            Self::Proof => holder.proof = true,
            Self::Silent => holder.silent = true,
            Self::Armed => holder.armed = true,
            Self::NotLostToAll => holder.lost_to_all = false,
            Self::AtRest => holder.at_rest = true,
        }
    }
}

/// A situation, and what the table has to make of it.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// The row that matches.
    pub row: Row,
    /// Whether this node is active.
    pub active: bool,
    /// Who holds the anchor; `None`: unknown.
    pub anchor: Option<Owner>,
    /// What else is known.
    pub facts: &'static [Fact],
    /// What changes nothing in that, each for itself and all together.
    pub even_if: &'static [Fact],
    /// What follows.
    pub action: Action,
    /// Why that is right, in one sentence.
    pub reason: &'static str,
}

impl Situation {
    pub(super) const fn active(row: Row, anchor: Option<Owner>, facts: &'static [Fact]) -> Self {
        Self { row, active: true, anchor, facts, even_if: &[], action: Action::Keep, reason: "" }
    }

    pub(super) const fn standby(row: Row, anchor: Option<Owner>, facts: &'static [Fact]) -> Self {
        Self { active: false, ..Self::active(row, anchor, facts) }
    }

    pub(super) const fn even_if(self, even_if: &'static [Fact]) -> Self {
        Self { even_if, ..self }
    }

    pub(super) const fn then(self, action: Action, reason: &'static str) -> Self {
        Self { action, reason, ..self }
    }

    /// What the table is asked, with `more` being true as well.
    pub fn view(&self, more: &[Fact]) -> View {
        view(self.active, self.anchor, self.facts.iter().chain(more))
    }
}

/// A view in which only these facts are out of the ordinary.
pub(super) fn view<'a>(
    active: bool,
    anchor: Option<Owner>,
    facts: impl IntoIterator<Item = &'a Fact>,
) -> View {
    let mut view = View {
        maintenance: false,
        settled: true,
        anchor,
        reads_fail: false,
        active,
        fit: true,
        peer_heard: false,
        contested: false,
        outranked_by: None,
        patience_over: false,
        last_resort: false,
        take_when_silent: true,
        lapsed: false,
        release_when_isolated: false,
        holder: Holder { lost_to_all: true, ..Holder::default() },
    };
    for fact in facts {
        fact.apply(&mut view);
    }
    view
}
