//! The one exchange behind switchover, SIGTERM and a failed service:
//! offer -> ready -> take -> active heard -> yield. Repeated with back-off until answered, idempotent,
//! settled by reading the anchor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::heartbeat::Offer;
use super::super::node::NodeId;
use super::super::settings::OFFER_TTL;
use super::super::time::Time;

/// The first repetition of an offer comes after this, each further one after twice as long.
const FIRST_REPEAT: Duration = Duration::from_millis(10);

/// An offer of ours.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) to: Option<NodeId>,
    pub(super) answered_by: Option<NodeId>,
    term: u64,
    until: Time,
    /// Until then a late call of the taker may land: nothing else is tried.
    over: Time,
    repeat_at: Time,
    repeat: Duration,
}

impl Made {
    pub(super) fn new(id: u64, term: u64, to: Option<NodeId>, call_timeout: Duration, now: Time) -> Self {
        let until = now + OFFER_TTL;
        Self {
            id,
            to,
            answered_by: None,
            term,
            until,
            over: until + call_timeout,
            repeat_at: now + FIRST_REPEAT,
            repeat: FIRST_REPEAT,
        }
    }

    /// As it stands in a heartbeat; `None` once it has run out.
    pub(super) fn as_said(&self, now: Time) -> Option<Offer> {
        let ttl = self.until.since(now);
        (ttl > Duration::ZERO).then_some(Offer {
            id: self.id,
            term: self.term,
            to: self.to,
            ttl,
            stopped: true,
        })
    }

    /// Whether it is to be repeated at once.
    pub(super) fn repeat_due(&mut self, longest: Duration, now: Time) -> bool {
        if self.answered_by.is_some() || now < self.repeat_at || now >= self.until {
            return false;
        }
        self.repeat = (self.repeat * 2).min(longest);
        self.repeat_at = now + self.repeat;
        true
    }

    /// Whether it has run out, with every call that it may have caused.
    pub(super) fn over(&self, now: Time) -> bool {
        now >= self.over
    }

    pub(super) fn deadline(&self) -> Time {
        if self.answered_by.is_none() { self.repeat_at.min(self.over) } else { self.over }
    }
}

/// An offer that the holder makes to us.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Heard {
    pub(super) from: NodeId,
    pub(super) id: u64,
    /// It names this node: then no other one goes first.
    pub(super) to_me: bool,
    /// The call must be sent by then: half of the ttl, counted from receipt.
    pub(super) take_by: Time,
}

impl Heard {
    /// Hears an offer (again): the earliest bound counts.
    pub(super) fn hear(
        old: Option<Self>,
        from: NodeId,
        me: NodeId,
        offer: &Offer,
        now: Time,
    ) -> Option<Self> {
        if offer.to.is_some_and(|to| to != me) || !offer.stopped {
            return None;
        }
        let take_by = now + offer.ttl / 2;
        let known = old.filter(|old| old.from == from && old.id == offer.id);
        let take_by = known.map_or(take_by, |known| known.take_by.min(take_by));
        Some(Self { from, id: offer.id, to_me: offer.to == Some(me), take_by })
    }
}
