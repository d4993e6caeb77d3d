use super::*;
use crate::cluster::Row;

const THEM: NodeId = NodeId(1);
const TAKE: Purpose = Purpose::Take(Row::Free);

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A lease of 10 s, with 2 s to stop: renewed every 2 s, served by for 6 s.
struct Side {
    it: Leasing,
    random: Random,
    calls: u64,
}

impl Side {
    fn new() -> Self {
        let settings = LeaseSettings { length: secs(10), stop_bound: secs(2), grace: Duration::ZERO };
        Self {
            it: Leasing::new(settings, NodeId(0), Random::new(7), at(0)),
            random: Random::new(1),
            calls: 0,
        }
    }

    /// Its take was begun and sent at 0, and answered at 700.
    fn owner() -> Self {
        let mut side = Self::new();
        side.it.begin(TAKE, 5, at(0));
        let call = side.sends(0).unwrap();
        assert_eq!(side.answers(call, Ok(()), 700), Some(Settled::Landed(TAKE)));
        side
    }

    fn sends(&mut self, now: u64) -> Option<u64> {
        self.calls += 1;
        self.it.attempt_due(self.calls, at(now)).map(|_| self.calls)
    }

    fn answers(&mut self, call: u64, answer: Result<(), Failure>, now: u64) -> Option<Settled> {
        self.it.written(call, answer, &mut self.random, at(now))
    }

    fn asks(&mut self, now: u64) -> u64 {
        self.calls += 1;
        self.it.ask_now();
        assert!(self.it.read_due(false, self.calls, at(now)));
        self.calls
    }

    fn reads(&mut self, lease: Option<Lease>, sent: u64, now: u64) -> Option<Settled> {
        let call = self.asks(sent);
        self.it.read(call, Ok(lease), at(now))
    }

    fn nonce(&self) -> u64 {
        self.it.write.as_ref().unwrap().lease.nonce
    }

    fn says(&self, now: u64) -> (bool, Option<Owner>) {
        self.it.owner(at(now))
    }
}

fn theirs(nonce: u64) -> Option<Lease> {
    Some(Lease { owner: Some(THEM), nonce, term: 9, length: secs(10) })
}

#[test]
fn it_counts_from_the_start_of_the_first_attempt() {
    let side = Side::owner();
    assert_eq!((side.it.stopped_by(), side.it.serves_until()), (Some(at(8000)), Some(at(6000))));
    assert!(side.it.valid(at(5999)) && !side.it.valid(at(6000)));
    let mut late = Side::new();
    late.it.begin(TAKE, 5, at(0));
    let call = late.sends(400).unwrap();
    late.answers(call, Ok(()), 700);
    assert_eq!(late.it.serves_until(), Some(at(6400)), "what waited before it was sent does not count");
    let mut again = Side::new();
    again.it.begin(TAKE, 5, at(0));
    again.sends(0).unwrap();
    assert_eq!(again.sends(999), None);
    let nonce = again.nonce();
    let second = again.sends(1000).unwrap();
    assert_eq!(again.nonce(), nonce, "a repetition is the same write");
    again.answers(second, Ok(()), 1100);
    assert_eq!(again.it.serves_until(), Some(at(6000)), "the first one may be what has landed");
}

#[test]
fn it_is_renewed_every_fifth_and_one_write_at_a_time() {
    let mut side = Side::owner();
    assert!(!side.it.renewal_due(at(1999)) && side.it.renewal_due(at(2000)));
    side.it.begin(Purpose::Renew, 6, at(2000));
    let nonce = side.nonce();
    assert!(!side.it.renewal_due(at(9000)), "one is under way");
    side.it.begin(TAKE, 6, at(2000));
    assert_eq!((side.nonce(), side.it.write.as_ref().unwrap().purpose), (nonce, Purpose::Renew));
    assert_eq!(side.it.write.as_ref().unwrap().expect, side.it.seen.unwrap().lease.map(|it| it.nonce));
    let call = side.sends(2000).unwrap();
    assert_eq!(side.answers(99, Ok(()), 2100), None, "no such call");
    side.answers(call, Ok(()), 2100);
    assert_eq!((side.it.serves_until(), side.it.term()), (Some(at(8000)), 6));
    assert_ne!(side.it.seen.unwrap().lease.map(|it| it.nonce), None);
    assert!(!Side::new().it.renewal_due(at(90_000)), "what is not ours is not renewed");
}

#[test]
fn a_conflict_on_the_first_attempt_loses_and_on_a_later_one_asks() {
    let mut side = Side::owner();
    side.it.begin(Purpose::Renew, 5, at(2000));
    let call = side.sends(2000).unwrap();
    assert_eq!(side.answers(call, Err(Failure::Conflict), 2100), Some(Settled::Lost(Purpose::Renew)));
    assert!(!side.it.valid(at(2100)) && side.it.write.is_none());

    let mut side = Side::owner();
    side.it.begin(Purpose::Renew, 5, at(2000));
    side.sends(2000).unwrap();
    let second = side.sends(3000).unwrap();
    let nonce = side.nonce();
    assert_eq!(side.answers(second, Err(Failure::Conflict), 3100), None, "our own first one may stand there");
    assert!(side.it.valid(at(3100)) && side.sends(12_000).is_none());
    let own = Some(Lease { owner: Some(NodeId(0)), nonce, term: 5, length: secs(10) });
    assert_eq!(side.reads(own, 3100, 3200), Some(Settled::Landed(Purpose::Renew)));
    assert_eq!(side.it.serves_until(), Some(at(8000)));

    let mut side = Side::owner();
    side.it.begin(Purpose::Renew, 5, at(2000));
    side.sends(2000).unwrap();
    let second = side.sends(3000).unwrap();
    side.answers(second, Err(Failure::Conflict), 3100);
    assert_eq!(side.reads(theirs(9), 3100, 3200), Some(Settled::Lost(Purpose::Renew)));
    assert!(!side.it.valid(at(3200)) && side.says(3300) == (true, Some(Owner::Theirs(THEM))));
}

#[test]
fn a_take_that_loses_leaves_what_is_known() {
    let mut side = Side::new();
    side.reads(theirs(9), 0, 0);
    side.it.begin(TAKE, 10, at(100));
    assert_eq!(side.it.write.as_ref().unwrap().expect, Some(9));
    let call = side.sends(100).unwrap();
    assert_eq!(side.answers(call, Err(Failure::Conflict), 200), Some(Settled::Lost(TAKE)));
    assert_eq!(side.says(300), (true, Some(Owner::Theirs(THEM))));
}

#[test]
fn a_read_that_shows_what_was_expected_leaves_the_write_open() {
    let mut side = Side::new();
    side.reads(theirs(9), 0, 0);
    side.it.begin(TAKE, 10, at(100));
    side.sends(100).unwrap();
    assert_eq!(side.reads(theirs(9), 200, 300), None);
    assert!(side.it.write.is_some(), "it may land yet");
    let nonce = side.nonce();
    let early = side.asks(400);
    let call = side.sends(1100).unwrap();
    side.answers(call, Ok(()), 1200);
    assert_eq!(side.it.read(early, Ok(theirs(9)), at(1300)), None);
    assert_eq!(
        side.it.seen.unwrap().lease.unwrap().nonce,
        nonce,
        "what was asked before it landed is no news"
    );
    assert!(side.it.valid(at(1300)));
}

#[test]
fn what_fails_is_repeated_soon_and_by_how_it_failed() {
    for (failure, least, most) in
        [(Failure::Refused, 500, 1000), (Failure::Passing, 100, 200), (Failure::NoAnswer, 25, 50)]
    {
        let (mut shortest, mut longest) = (u64::MAX, 0);
        let mut side = Side::new();
        for _ in 0..100 {
            side.it.write = None;
            side.it.failures = 0;
            side.it.begin(TAKE, 5, at(0));
            let call = side.sends(0).unwrap();
            assert_eq!(side.answers(call, Err(failure), 0), None);
            assert_eq!(side.it.failures, 1);
            let write = side.it.write.as_ref().unwrap();
            assert_eq!(
                (write.open, write.attempts == 0),
                (failure == Failure::NoAnswer, failure != Failure::NoAnswer)
            );
            let wait = u64::try_from(write.next.since(at(0)).as_millis()).unwrap();
            (shortest, longest) = (shortest.min(wait), longest.max(wait));
        }
        assert!(shortest >= least && longest <= most, "{failure:?}: {shortest} to {longest}");
        assert!(
            shortest < least + least / 4 && longest > most - most / 4,
            "{failure:?}: {shortest} to {longest}"
        );
    }
    let mut side = Side::new();
    side.it.begin(TAKE, 5, at(0));
    side.it.failures = 30;
    let call = side.sends(0).unwrap();
    side.answers(call, Err(Failure::Passing), 0);
    let wait = side.it.write.as_ref().unwrap().next.since(at(0));
    assert!(wait <= secs(1) && wait >= Duration::from_millis(800), "never longer than an attempt: {wait:?}");
}

#[test]
fn a_failed_attempt_beside_one_that_may_land_does_not_move_the_first() {
    let mut side = Side::new();
    side.it.begin(TAKE, 5, at(0));
    let first = side.sends(0).unwrap();
    let second = side.sends(1000).unwrap();
    assert!(side.it.write.as_ref().unwrap().open);
    let next = side.it.write.as_ref().unwrap().next;
    side.answers(second, Err(Failure::Passing), 1100);
    assert_eq!(side.it.write.as_ref().unwrap().next, next, "the first one is still waited for");
    side.answers(first, Err(Failure::Passing), 1200);
    assert!(side.it.write.as_ref().unwrap().next < at(1700));
    assert_eq!(side.it.write.as_ref().unwrap().attempts, 2, "it counts from the first all the same");
}

#[test]
fn who_owns_the_group_is_what_was_read_and_how_long_ago() {
    let mut side = Side::new();
    assert_eq!((side.says(29_999), side.says(30_000)), ((false, None), (true, None)));
    side.reads(None, 0, 50);
    assert_eq!((side.says(60), side.it.term()), ((true, Some(Owner::Nobody)), 0));
    side.reads(theirs(9), 100, 150);
    assert_eq!((side.says(200), side.it.term()), ((true, Some(Owner::Theirs(THEM))), 9));
    assert_eq!(side.it.last_owner(), Some(THEM));
    assert!(!side.it.names_us());
    let free = Some(Lease { owner: None, nonce: 3, term: 9, length: secs(10) });
    side.reads(free, 300, 350);
    assert_eq!((side.says(400), side.it.last_owner()), ((true, Some(Owner::Nobody)), None));
    assert_eq!(side.it.expires_at(), None);
    let ours = Some(Lease { owner: Some(NodeId(0)), nonce: 4, term: 9, length: secs(10) });
    side.reads(ours, 500, 550);
    assert_eq!((side.says(600), side.it.last_owner()), ((true, Some(Owner::Mine)), None));
    assert!(
        side.it.names_us() && !side.it.valid(at(600)),
        "it names us, and has to be renewed before it counts"
    );
    assert_eq!((side.says(30_499).1, side.says(30_500)), (Some(Owner::Mine), (true, None)));
}

#[test]
fn a_contender_waits_a_whole_lease_from_the_first_receipt() {
    let mut side = Side::new();
    side.reads(theirs(9), 0, 50);
    side.reads(theirs(9), 8000, 8050);
    assert_eq!(side.it.expires_at(), Some(at(10_050)));
    assert_eq!((side.says(10_049).1, side.says(10_050).1), (Some(Owner::Theirs(THEM)), Some(Owner::Nobody)));
    assert!(!side.it.expired(at(10_049)) && side.it.expired(at(10_050)));
    side.reads(theirs(10), 10_060, 10_070);
    assert_eq!(side.it.expires_at(), Some(at(20_070)), "it was renewed");
}

#[test]
fn only_a_newer_read_is_news_and_a_failed_one_is_none() {
    let mut side = Side::new();
    let (old, new) = (side.asks(0), side.asks(100));
    side.it.read(new, Ok(theirs(10)), at(150));
    side.it.read(old, Ok(theirs(9)), at(200));
    assert_eq!(side.it.seen.unwrap().lease, theirs(10));
    assert_eq!(side.it.read(new, Ok(theirs(11)), at(210)), None);
    assert_eq!(side.it.seen.unwrap().lease, theirs(10), "answered already");
    let call = side.asks(300);
    side.it.read(call, Err(Failure::Passing), at(310));
    assert_eq!((side.it.failures, side.it.seen.unwrap().lease), (1, theirs(10)));
    let (one, other) = (side.asks(400), side.asks(400));
    side.it.read(one, Ok(theirs(11)), at(410));
    side.it.read(other, Ok(theirs(12)), at(420));
    assert_eq!((side.it.failures, side.it.seen.unwrap().lease), (0, theirs(12)), "sent at the same moment");
}

#[test]
fn a_lease_that_a_read_shows_with_somebody_else_is_not_ours_any_more() {
    let mut side = Side::owner();
    side.reads(theirs(9), 1000, 1050);
    assert!(!side.it.valid(at(1100)));
    assert_eq!(side.says(1100), (true, Some(Owner::Theirs(THEM))));
    let mut side = Side::owner();
    let own = side.it.seen.unwrap().lease;
    side.reads(own, 1000, 1050);
    assert!(side.it.valid(at(1100)));
}

#[test]
fn what_is_given_back_is_nobodys_and_ends_at_once() {
    let mut side = Side::owner();
    side.it.begin(Purpose::GiveBack, 5, at(1000));
    assert!(!side.it.valid(at(1000)), "from the wish on");
    let call = side.sends(1000).unwrap();
    assert_eq!(side.answers(call, Ok(()), 1100), Some(Settled::Landed(Purpose::GiveBack)));
    assert!(!side.it.valid(at(1200)) && !side.it.names_us());
    assert_eq!(side.says(1200), (true, Some(Owner::Nobody)));
}

#[test]
fn a_write_that_would_land_too_late_is_given_up_and_looked_after() {
    let mut side = Side::new();
    side.it.begin(TAKE, 5, at(0));
    side.it.tend(at(60_000));
    assert!(side.it.write.is_some(), "nothing was sent yet");
    side.sends(0).unwrap();
    side.it.tend(at(5999));
    assert!(side.it.write.is_some());
    side.it.read_wanted = false;
    side.it.tend(at(6000));
    assert!(side.it.write.is_none() && side.it.read_wanted);
}

#[test]
fn only_what_was_not_sent_can_be_withdrawn() {
    let mut side = Side::new();
    side.it.begin(TAKE, 5, at(0));
    side.it.withdraw();
    assert!(side.it.write.is_none());
    side.it.begin(TAKE, 5, at(0));
    side.sends(0).unwrap();
    side.it.withdraw();
    assert!(side.it.write.is_some());
    let mut side = Side::owner();
    side.it.begin(Purpose::GiveBack, 5, at(1000));
    side.it.withdraw();
    assert!(side.it.write.is_some(), "giving back harms nobody");
}

#[test]
fn how_often_the_table_is_read() {
    let next =
        |side: &Side, closely, now| side.it.next_read(closely, at(now)).since(side.it.read_at.unwrap());
    let mut side = Side::new();
    assert_eq!(side.it.next_read(false, at(0)), at(0));
    let call = side.asks(0);
    assert_eq!(next(&side, false, 0), secs(1), "nothing is known yet");
    side.it.read(call, Ok(theirs(9)), at(50));
    assert_eq!((next(&side, false, 60), next(&side, true, 60)), (secs(2), secs(1)));
    side.it.begin(TAKE, 5, at(100));
    side.sends(100).unwrap();
    assert_eq!(next(&side, false, 100), secs(2));
    side.sends(1100).unwrap();
    assert_eq!(next(&side, false, 1100), secs(1), "a write may have landed");
    let mut owner = Side::owner();
    owner.asks(800);
    assert_eq!((next(&owner, true, 800), next(&owner, true, 6000)), (secs(10), secs(1)), "it knows; it knew");
    for (failures, every) in [(1, 2), (2, 4), (3, 8), (9, 8)] {
        owner.it.failures = failures;
        assert_eq!(next(&owner, true, 800), secs(every));
    }
}

#[test]
fn reads_that_hang_are_not_many_and_not_for_ever() {
    let mut side = Side::new();
    side.asks(0);
    side.asks(0);
    side.it.ask_now();
    assert!(!side.it.read_due(false, 50, at(999)), "two hang: the next one at its time");
    assert!(side.it.read_due(false, 51, at(1000)) && side.it.read_due(false, 52, at(2000)));
    assert!(!side.it.read_due(false, 53, at(3000)), "four hang");
    assert!(!side.it.read_due(false, 54, at(29_999)) && side.it.read_due(false, 55, at(30_000)));
    assert_eq!(side.it.read(1, Ok(None), at(30_001)), None);
    assert!(side.it.seen.is_none(), "an answer after so long is none");
}

#[test]
fn freshness_is_a_read_or_the_lease_itself() {
    let mut side = Side::new();
    assert!(!side.it.fresh(secs(30), at(0)));
    side.reads(theirs(9), 100, 150);
    assert!(side.it.fresh(secs(30), at(30_099)) && !side.it.fresh(secs(30), at(30_100)));
    let owner = Side::owner();
    assert!(owner.it.fresh(Duration::ZERO, at(5999)) && !owner.it.fresh(Duration::ZERO, at(6000)));
}

#[test]
fn it_wakes_when_something_is_due() {
    let mut side = Side::owner();
    side.asks(700);
    assert_eq!(side.it.deadline(false, at(800)), Some(at(2000)), "the renewal");
    side.it.begin(Purpose::Renew, 5, at(2000));
    side.sends(2000).unwrap();
    assert_eq!(side.it.deadline(false, at(2000)), Some(at(3000)), "the next attempt");
    side.it.write.as_mut().unwrap().next = at(90_000);
    assert_eq!(side.it.deadline(false, at(3000)), Some(at(6000)), "the end of serving");
    assert_eq!(side.it.deadline(false, at(29_000)), Some(at(30_700)), "what is known grows old");
    let mut other = Side::new();
    other.reads(theirs(9), 0, 50);
    assert_eq!(other.it.deadline(false, at(100)), Some(at(2000)), "the next read");
    assert_eq!(other.it.deadline(false, at(9000)), Some(at(10_050)), "the other's lease");
}

#[test]
fn a_short_lease_is_read_by_its_tenth() {
    let settings = LeaseSettings { length: secs(5), stop_bound: secs(1), grace: Duration::ZERO };
    let mut it = Leasing::new(settings, NodeId(0), Random::new(7), at(0));
    assert_eq!(it.read_every(true, false), Duration::from_millis(500));
    it.failures = 2;
    assert_eq!(it.read_every(true, false), secs(2));
    it.failures = 0;
    assert_eq!(it.read_every(false, true), secs(5));
}

#[test]
fn what_was_seen_before_a_moment_was_received_by_then() {
    let mut side = Side::new();
    assert!(!side.it.seen_before(at(9000)));
    side.reads(theirs(9), 0, 50);
    side.reads(theirs(9), 1000, 1050);
    assert!(!side.it.seen_before(at(49)) && side.it.seen_before(at(50)));
    let mut owner = Side::owner();
    owner.it.forfeit();
    assert!(!owner.it.valid(at(800)) && owner.it.names_us(), "it has to be renewed before it counts");
}

#[test]
fn a_read_that_was_sent_before_the_write_settles_nothing() {
    let mut side = Side::new();
    side.reads(theirs(9), 0, 0);
    let early = side.asks(50);
    side.it.begin(TAKE, 10, at(100));
    assert_eq!(side.reads(theirs(11), 100, 100), None, "nothing was sent yet");
    assert!(side.it.write.is_some());
    side.sends(200).unwrap();
    assert_eq!(side.it.read(early, Ok(theirs(12)), at(250)), None);
    assert!(side.it.write.is_some(), "it may be what stood there before");
    assert_eq!(side.reads(theirs(12), 200, 300), Some(Settled::Lost(TAKE)), "sent with it");
}
