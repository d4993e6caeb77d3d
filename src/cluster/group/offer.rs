//! The one exchange behind switchover, SIGTERM and a failed service:
//! offer -> ready -> take -> active heard -> yield. Repeated with back-off until answered, idempotent,
//! settled by reading the anchor.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::decision::Row;
use super::super::heartbeat::{Offer, Role};
use super::super::node::NodeId;
use super::super::notice::Level;
use super::super::settings::OFFER_TTL;
use super::super::time::Time;
use super::{Context, Group, Outbox};

/// The first repetition of an offer comes after this, each further one after twice as long.
const FIRST_REPEAT: Duration = Duration::from_millis(10);

/// An offer of ours.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Made {
    pub(super) id: u64,
    pub(super) to: Option<NodeId>,
    pub(super) answered_by: Option<NodeId>,
    /// Somebody is ready, so the service stops here.
    pub(super) stops: bool,
    /// The taker may take at once.
    pub(super) stopped: bool,
    term: u64,
    until: Time,
    /// Until then a late call of the taker may land: nothing else is tried.
    over: Time,
    repeat_at: Time,
    repeat: Duration,
}

impl Made {
    /// `stopped`: the taker need not wait for our service.
    pub(super) fn new(
        id: u64,
        term: u64,
        to: Option<NodeId>,
        stopped: bool,
        call_timeout: Duration,
        now: Time,
    ) -> Self {
        let until = now + OFFER_TTL;
        Self {
            id,
            to,
            answered_by: None,
            stops: false,
            stopped,
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
            stopped: self.stopped,
        })
    }

    /// Goes one step on: somebody has answered, or our service has stopped (`down`). Each step begins the ttl anew,
    /// because the taker counts it from receipt. Answers whether there is news to tell.
    pub(super) fn proceed(
        &mut self,
        answered_by: Option<NodeId>,
        down: bool,
        call_timeout: Duration,
        now: Time,
    ) -> bool {
        let mut news = false;
        if self.answered_by.is_none() && answered_by.is_some() && now < self.until {
            self.answered_by = answered_by;
            if !self.stopped {
                // One taker from here on: the others hear that it is not for them.
                self.to = answered_by;
                self.stops = true;
                news = true;
            }
        }
        if self.stops && !self.stopped && down {
            self.stopped = true;
            news = true;
        }
        if news {
            self.until = now + OFFER_TTL;
            self.over = self.until + call_timeout;
        }
        news
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
    /// The offerer's service need not be waited for; until then the answer is "ready".
    pub(super) stopped: bool,
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
        if offer.to.is_some_and(|to| to != me) {
            return None;
        }
        let take_by = now + offer.ttl / 2;
        let same = |old: &Self| old.from == from && old.id == offer.id && old.stopped == offer.stopped;
        let known = old.filter(same);
        let take_by = known.map_or(take_by, |known| known.take_by.min(take_by));
        Some(Self { from, id: offer.id, to_me: offer.to == Some(me), stopped: offer.stopped, take_by })
    }
}

impl Group {
    /// What a heartbeat to this peer says of its offer: we take it, or could take it as soon as its service stops.
    pub(super) fn ready_for(&self, to: NodeId, cx: &Context<'_>) -> Option<u64> {
        if let Some((_, id)) = self.accepted.filter(|(from, _)| *from == to) {
            return Some(id);
        }
        let heard = self.heard_offer.filter(|heard| heard.from == to && !heard.stopped)?;
        let ready = self.role == Role::Standby && self.why_not(cx).is_none();
        ready.then_some(heard.id)
    }

    /// Failback, where it is asked for: a preferred node that was fit, heard and hearing us for so long is offered the
    /// group.
    pub(super) fn tend_failback(&mut self, cx: &Context<'_>, out: &mut Outbox) {
        let Some(after) = self.settings(cx).failback else { return };
        let node = self.taker(cx).filter(|node| self.row == Row::Serve && self.prefers(*node, cx));
        self.preferred = match (self.preferred, node) {
            (Some((known, since)), Some(node)) if known == node => Some((node, since)),
            (_, node) => node.map(|node| (node, cx.now)),
        };
        let due = self.preferred.filter(|(_, since)| cx.now.since(*since) >= after);
        if let Some((node, _)) = due.filter(|_| self.offer.is_none()) {
            // What fails is tried again after as long.
            self.preferred = Some((node, cx.now));
            let text = format!("{{node {}}} is preferred and has been fit: the group goes back", node.0);
            self.tell(Level::Info, "failback", text, cx, out);
            self.make_offer(Some(node), cx, out);
        }
    }

    /// Whether this node comes before us in order of preference, and hears us.
    fn prefers(&self, node: NodeId, cx: &Context<'_>) -> bool {
        let place = |of: NodeId| self.settings(cx).nodes.iter().position(|it| *it == of);
        let peer = self.members(cx).find(|peer| peer.id == node);
        place(node) < place(cx.settings.me)
            && peer.is_some_and(|peer| peer.hears_us(cx.settings.me, cx.now, cx.settings))
    }

    pub(super) fn failback_at(&self, cx: &Context<'_>) -> Option<Time> {
        Some(self.preferred?.1 + self.settings(cx).failback?)
    }
}

#[cfg(test)]
mod tests;
