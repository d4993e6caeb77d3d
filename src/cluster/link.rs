//! One link to one peer: the failure detector, and the statistic from which dead-after can be chosen.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Time;

/// How many heartbeats in a row, none of them late, make a link up again (kronosnet's pong_count).
const GOOD_FOR_UP: u32 = 2;

/// What a link is worth.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum LinkState {
    /// Nothing was heard on it since we started.
    NeverSeen,
    /// Heartbeats arrive.
    Up,
    /// Silent for `warn-after`.
    Late,
    /// Silent for `dead-after`, or not yet up again.
    Lost,
}

/// One link to one peer, as seen from here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Link {
    pub(super) state: LinkState,
    pub(super) since: Time,
    pub(super) heard_at: Option<Time>,
    pub(super) stats: LinkStats,
    sent: u64,
    last_in: u64,
    good: u32,
    last_sent_us: u64,
}

/// What was counted on one link since the agent started.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct LinkStats {
    /// Heartbeats that arrived and counted.
    pub received: u64,
    /// Heartbeats of the peer's present session that never arrived.
    pub missed: u64,
    /// Datagrams that came twice or out of order, replays among them.
    pub replayed: u64,
    /// Datagrams that did not authenticate.
    pub refused: u64,
    /// How often the link became late.
    pub late: u64,
    /// How often the link was lost.
    pub lost: u64,
    /// The last round trip, in microseconds.
    pub rtt_us: Option<u64>,
    /// The smoothed round trip, in microseconds (RFC 6298's SRTT).
    pub srtt_us: Option<u64>,
    /// The time between two heartbeats. Not recorded: nothing is decided by it.
    #[serde(skip)]
    pub gaps: Gaps,
}

impl Link {
    pub(super) fn new(now: Time) -> Self {
        Self {
            state: LinkState::NeverSeen,
            since: now,
            heard_at: None,
            stats: LinkStats::default(),
            sent: 0,
            last_in: 0,
            good: 0,
            last_sent_us: 0,
        }
    }

    /// The sequence of the next datagram to send.
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// A new session of the peer: its sequence starts again.
    pub(super) fn restart(&mut self) {
        self.last_in = 0;
        self.last_sent_us = 0;
    }

    /// Counts a datagram of the peer's present session; `false`: it is not newer than the last one.
    pub(super) fn receive(&mut self, sequence: u64, sent_us: u64, now: Time, warn_after: Duration) -> bool {
        if sequence <= self.last_in {
            self.stats.replayed += 1;
            return false;
        }
        if self.last_in > 0 {
            self.stats.missed = self.stats.missed.saturating_add(sequence - self.last_in - 1);
            if let Some(heard) = self.heard_at {
                self.stats.gaps.add(now.since(heard));
            }
        }
        let in_time = self.heard_at.is_some_and(|heard| now.since(heard) < warn_after);
        self.good = if in_time { self.good.saturating_add(1) } else { 1 };
        self.last_in = sequence;
        self.last_sent_us = sent_us;
        self.heard_at = Some(now);
        self.stats.received += 1;
        if self.state == LinkState::Late || self.good >= GOOD_FOR_UP {
            self.set(LinkState::Up, now);
        }
        true
    }

    /// Counts a round trip.
    pub(super) fn measure(&mut self, rtt: Duration) {
        let us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
        self.stats.rtt_us = Some(us);
        self.stats.srtt_us = Some(self.stats.srtt_us.map_or(us, |old| (old * 7 + us) / 8));
    }

    /// What the next heartbeat gives back for the peer's own measurement.
    pub(super) fn reply(&self, now: Time) -> Option<(u64, u64)> {
        let heard = self.heard_at?;
        let held = u64::try_from(now.since(heard).as_micros()).unwrap_or(u64::MAX);
        (self.last_in > 0).then_some((self.last_sent_us, held))
    }

    /// Lets time pass; silence is counted from `from` at the earliest (our own start or stall).
    pub(super) fn observe(&mut self, now: Time, from: Time, warn_after: Duration, dead_after: Duration) {
        let Some(heard) = self.heard_at else { return };
        let silent = now.since(heard.max(from));
        if silent >= dead_after {
            if matches!(self.state, LinkState::Up | LinkState::Late) {
                self.stats.lost += 1;
            }
            self.good = 0;
            self.set(LinkState::Lost, now);
        } else if silent >= warn_after && self.state == LinkState::Up {
            self.stats.late += 1;
            self.good = 0;
            self.set(LinkState::Late, now);
        }
    }

    fn set(&mut self, state: LinkState, now: Time) {
        if self.state != state {
            self.state = state;
            self.since = now;
        }
    }
}

/// A histogram of the time between heartbeats: 48 steps of 1.25, from one millisecond.
#[derive(Clone, Debug)]
pub struct Gaps {
    counts: [u32; STEPS],
    total: u64,
    longest: Duration,
}

const STEPS: usize = 48;

impl Default for Gaps {
    fn default() -> Self {
        Self { counts: [0; STEPS], total: 0, longest: Duration::ZERO }
    }
}

impl Gaps {
    /// The longest one.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The length that 99 of 100 do not exceed (rounded up to a step of the histogram).
    pub fn p99(&self) -> Option<Duration> {
        let wanted = self.total - self.total / 100;
        let mut seen = 0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && self.total > 0 {
                return Some(Duration::from_micros(BOUNDS_US[step]).min(self.longest));
            }
        }
        None
    }

    /// The dead-after that this statistic advises: twice the longest gap, at least eight intervals
    /// (the rule of Heartbeat's FAQ: 1.5 to 2 times the longest late heartbeat).
    pub fn advised_dead_after(&self, interval: Duration) -> Option<Duration> {
        (self.total >= 1000).then(|| (self.longest * 2).max(interval * 8))
    }

    fn add(&mut self, gap: Duration) {
        let us = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
        let step = BOUNDS_US.partition_point(|bound| *bound < us).min(STEPS - 1);
        self.counts[step] = self.counts[step].saturating_add(1);
        self.total += 1;
        self.longest = self.longest.max(gap);
    }
}

/// The upper bound of each step, in microseconds.
static BOUNDS_US: [u64; STEPS] = {
    let mut bounds = [0; STEPS];
    let mut step = 0;
    let mut bound = 1000;
    while step < STEPS {
        bounds[step] = bound;
        bound = bound * 5 / 4;
        step += 1;
    }
    bounds
};

#[cfg(test)]
mod tests {
    use super::*;

    const WARN: Duration = Duration::from_secs(1);
    const DEAD: Duration = Duration::from_secs(2);

    fn at(ms: u64) -> Time {
        Time::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_link_is_up_only_after_two_heartbeats_in_time() {
        let mut link = Link::new(at(0));
        link.receive(1, 0, at(10), WARN);
        assert_eq!(link.state, LinkState::NeverSeen);
        link.receive(2, 0, at(260), WARN);
        assert_eq!(link.state, LinkState::Up);
        link.observe(at(1260), at(0), WARN, DEAD);
        assert_eq!(link.state, LinkState::Late);
        link.observe(at(2260), at(0), WARN, DEAD);
        assert_eq!(link.state, LinkState::Lost);
        link.receive(3, 0, at(3000), WARN);
        assert_eq!(link.state, LinkState::Lost, "one heartbeat is not a link");
        link.receive(4, 0, at(3250), WARN);
        assert_eq!(link.state, LinkState::Up);
        assert_eq!((link.stats.late, link.stats.lost), (1, 1));
    }

    #[test]
    fn what_is_not_newer_does_not_count() {
        let mut link = Link::new(at(0));
        assert!(link.receive(5, 0, at(10), WARN));
        assert!(!link.receive(5, 0, at(20), WARN));
        assert!(!link.receive(4, 0, at(30), WARN));
        assert!(link.receive(8, 0, at(40), WARN));
        assert_eq!((link.stats.received, link.stats.replayed, link.stats.missed), (2, 2, 2));
        assert_eq!(link.heard_at, Some(at(40)));
    }

    #[test]
    fn our_own_stall_is_not_the_peers_silence() {
        let mut link = Link::new(at(0));
        link.receive(1, 0, at(10), WARN);
        link.receive(2, 0, at(20), WARN);
        link.observe(at(9000), at(8900), WARN, DEAD);
        assert_eq!(link.state, LinkState::Up);
    }

    #[test]
    fn gaps_keep_the_longest_and_the_99th() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.p99(), None);
        for _ in 0..990 {
            gaps.add(Duration::from_millis(250));
        }
        for _ in 0..10 {
            gaps.add(Duration::from_millis(900));
        }
        let p99 = gaps.p99().unwrap();
        assert!(p99 >= Duration::from_millis(250) && p99 < Duration::from_millis(320), "{p99:?}");
        assert_eq!(gaps.advised_dead_after(Duration::from_millis(50)), Some(Duration::from_millis(1800)));
        assert_eq!(gaps.advised_dead_after(Duration::from_millis(250)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn heartbeats_that_come_late_make_no_link() {
        let mut link = Link::new(at(0));
        link.receive(1, 0, at(0), WARN);
        link.receive(2, 0, at(1000), WARN);
        link.receive(3, 0, at(2000), WARN);
        assert_eq!(link.state, LinkState::NeverSeen, "each one came as the last one was late");
        link.receive(4, 0, at(2999), WARN);
        assert_eq!((link.state, link.since), (LinkState::Up, at(2999)));
        link.receive(5, 0, at(3100), WARN);
        assert_eq!(link.since, at(2999), "up is up");
    }

    #[test]
    fn one_heartbeat_ends_lateness_and_each_lateness_counts_once() {
        let mut link = Link::new(at(0));
        link.receive(1, 0, at(0), WARN);
        link.receive(2, 0, at(10), WARN);
        for now in [1009, 1010, 1500, 2009] {
            link.observe(at(now), at(0), WARN, DEAD);
        }
        assert_eq!(
            (link.state, link.since, link.stats.late, link.stats.lost),
            (LinkState::Late, at(1010), 1, 0)
        );
        link.receive(3, 0, at(2009), WARN);
        assert_eq!(link.state, LinkState::Up);
        for now in [4009, 4010, 9000] {
            link.observe(at(now), at(0), WARN, DEAD);
        }
        assert_eq!((link.state, link.stats.late, link.stats.lost), (LinkState::Lost, 1, 1));
        let mut never = Link::new(at(0));
        never.observe(at(9000), at(0), WARN, DEAD);
        assert_eq!((never.state, never.stats.lost), (LinkState::NeverSeen, 0));
    }

    #[test]
    fn a_restarted_peer_counts_from_one_again() {
        let mut link = Link::new(at(0));
        assert_eq!((link.next_sequence(), link.next_sequence()), (1, 2));
        assert_eq!(link.reply(at(0)), None);
        link.receive(90, 70, at(10), WARN);
        assert_eq!(link.reply(at(13)), Some((70, 3000)));
        link.restart();
        assert_eq!(link.reply(at(13)), None, "what its forerunner sent is nothing to it");
        assert!(link.receive(1, 5, at(20), WARN));
        assert_eq!((link.stats.missed, link.stats.gaps.total()), (0, 0), "nor is it a gap");
        assert_eq!(link.reply(at(20)), Some((5, 0)));
        assert_eq!(link.next_sequence(), 3, "ours goes on: it is our session");
    }

    #[test]
    fn the_round_trip_is_smoothed_by_an_eighth() {
        let mut link = Link::new(at(0));
        link.measure(Duration::from_micros(800));
        assert_eq!((link.stats.rtt_us, link.stats.srtt_us), (Some(800), Some(800)));
        link.measure(Duration::from_micros(1600));
        assert_eq!((link.stats.rtt_us, link.stats.srtt_us), (Some(1600), Some(900)));
    }

    #[test]
    fn a_gap_counts_in_the_step_that_it_does_not_exceed() {
        assert_eq!(BOUNDS_US[..4], [1000, 1250, 1562, 1952]);
        let p99 = |gaps: &[u64]| {
            let mut all = Gaps::default();
            gaps.iter().for_each(|us| all.add(Duration::from_micros(*us)));
            all.p99().unwrap().as_micros()
        };
        assert_eq!((p99(&[1250, 1250]), p99(&[1251, 2000])), (1250, 2000));
        assert_eq!(p99(&[1251, 1300]), 1300, "not above the longest");
        let mut all = vec![1000; 99];
        all.push(900_000);
        assert_eq!(p99(&all), 1000, "one of a hundred may exceed it");
        all.extend([900_000]);
        assert!(p99(&all) > 800_000, "two of 101 may not");
        assert_eq!(p99(&[u64::MAX / 2]), (u64::MAX / 2).min(BOUNDS_US[STEPS - 1]).into());
        let mut gaps = Gaps::default();
        (0..999).for_each(|_| gaps.add(Duration::from_millis(250)));
        assert_eq!(gaps.advised_dead_after(Duration::from_millis(250)), None, "too few to advise");
        gaps.add(Duration::from_millis(300));
        assert_eq!((gaps.longest(), gaps.total()), (Duration::from_millis(300), 1000));
        assert_eq!(gaps.advised_dead_after(Duration::from_millis(10)), Some(Duration::from_millis(600)));
    }
}
