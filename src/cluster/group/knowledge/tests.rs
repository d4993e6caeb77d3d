use super::*;
use crate::cluster::node::NodeId;

const THEIRS: Owner = Owner::Theirs(NodeId(1));

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Knowledge that began at 0; each read is sent and answered at the same moment.
struct Side {
    it: Knowledge,
    random: Random,
    calls: u64,
}

impl Side {
    fn new() -> Self {
        Self { it: Knowledge::new(at(0)), random: Random::new(1), calls: 0 }
    }

    fn sends(&mut self, now: u64) -> u64 {
        self.calls += 1;
        self.it.ask_now();
        assert!(self.it.read_due(Watch::Standby, self.calls, at(now)));
        self.calls
    }

    fn answers(&mut self, call: u64, answer: Option<Owner>, now: u64) -> bool {
        let answer = answer.map(|owner| AnchorRead { owner, counter: None }).ok_or(());
        self.it.answered(call, answer, &mut self.random, at(now))
    }

    fn reads(&mut self, owner: Owner, now: u64) -> bool {
        let call = self.sends(now);
        self.answers(call, Some(owner), now)
    }

    fn says(&self, now: u64) -> (bool, Option<Owner>) {
        self.it.anchor(at(now))
    }

    fn wait(&self, watch: Watch, now: u64) -> Duration {
        self.it.next_read(watch, at(now)).since(self.it.sent_at.unwrap())
    }
}

#[test]
fn after_a_start_nothing_is_believed_that_was_sent_within_five_seconds() {
    let mut side = Side::new();
    assert_eq!(side.says(0), (false, None));
    side.reads(THEIRS, 4999);
    assert_eq!(side.says(5100), (false, None));
    side.reads(THEIRS, 5000);
    assert_eq!(side.says(5100), (true, Some(THEIRS)));
}

#[test]
fn what_was_read_is_unknown_after_thirty_seconds() {
    let mut side = Side::new();
    side.reads(THEIRS, 6000);
    assert_eq!(side.it.stale_at(), at(36_000));
    assert_eq!((side.says(35_999), side.says(36_000)), ((true, Some(THEIRS)), (true, None)));
    let never = Side::new();
    assert_eq!(never.it.stale_at(), at(30_000));
    assert_eq!((never.says(29_999), never.says(30_000)), ((false, None), (true, None)));
}

#[test]
fn a_claim_counts_until_a_read_agrees_or_was_sent_five_seconds_later() {
    let mut side = Side::new();
    side.reads(Owner::Mine, 6000);
    side.it.changed(Change::To(THEIRS), at(10_000));
    assert_eq!(side.says(10_001), (false, Some(THEIRS)), "what was read before is worth nothing");
    side.reads(Owner::Mine, 14_999);
    assert_eq!(side.says(15_000), (false, Some(THEIRS)));
    side.reads(Owner::Mine, 15_000);
    assert_eq!(side.says(15_001), (true, Some(Owner::Mine)));
    side.it.changed(Change::To(THEIRS), at(20_000));
    side.reads(THEIRS, 20_000);
    assert_eq!(side.says(20_001), (true, Some(THEIRS)), "a read that agrees settles it at once");
    assert!(side.it.precedes_change(at(19_999)) && !side.it.precedes_change(at(20_000)));
    side.it.changed(Change::To(THEIRS), at(60_000));
    assert_eq!((side.says(89_999).1, side.says(90_000).1), (Some(THEIRS), None), "a claim ages, too");
    side.reads(Owner::Mine, 62_000);
    assert_eq!((side.says(91_999).1, side.says(92_000).1), (Some(THEIRS), None));
}

#[test]
fn our_own_answered_take_needs_no_read_for_five_seconds() {
    let mut side = Side::new();
    side.it.changed(Change::OwnTake, at(1000));
    assert_eq!(side.says(1000), (true, Some(Owner::Mine)));
    assert!(side.it.just_took(at(5999)) && !side.it.just_took(at(6000)));
    side.it.changed(Change::To(THEIRS), at(6000));
    assert!(!side.it.just_took(at(6001)));
}

#[test]
fn the_gate_wants_a_read_that_was_sent_less_than_thirty_seconds_ago() {
    let mut side = Side::new();
    assert!(!side.it.fresh(at(0)));
    side.reads(THEIRS, 1000);
    assert!(side.it.fresh(at(30_999)) && !side.it.fresh(at(31_000)));
    assert!(side.it.read_within(secs(5), at(5999)) && !side.it.read_within(secs(5), at(6000)));
}

#[test]
fn a_call_without_an_answer_is_open_for_two_minutes_and_watched_each_second() {
    let mut side = Side::new();
    side.reads(THEIRS, 20_000);
    assert_eq!(side.wait(Watch::Standby, 20_000), secs(20));
    side.it.call_left_open(at(20_000));
    assert!(side.it.call_open(at(139_999)) && !side.it.call_open(at(140_000)));
    side.reads(THEIRS, 139_000);
    assert_eq!((side.wait(Watch::Standby, 139_999), side.wait(Watch::Standby, 140_000)), (secs(1), secs(20)));
}

#[test]
fn how_often_is_asked() {
    let mut side = Side::new();
    assert_eq!(side.it.next_read(Watch::Standby, at(0)), at(0));
    side.reads(THEIRS, 14_000);
    assert_eq!((side.wait(Watch::Standby, 14_999), side.wait(Watch::Standby, 15_000)), (secs(1), secs(20)));
    for (watch, every) in [(Watch::Active, 10), (Watch::Standby, 20), (Watch::Quiet, 5), (Watch::Taking, 1)] {
        assert_eq!(side.wait(watch, 16_000), secs(every), "{watch:?}");
    }
    side.it.closely(at(20_000));
    assert_eq!((side.wait(Watch::Standby, 34_999), side.wait(Watch::Standby, 35_000)), (secs(1), secs(20)));
    side.reads(Owner::Nobody, 40_000);
    assert_eq!((side.wait(Watch::Standby, 54_999), side.wait(Watch::Standby, 55_000)), (secs(1), secs(20)));
    side.reads(Owner::Nobody, 60_000);
    assert_eq!(side.wait(Watch::Standby, 60_000), secs(20), "the same as before is no change");
    side.it.changed(Change::To(THEIRS), at(61_000));
    assert_eq!(side.wait(Watch::Standby, 80_000), secs(1), "not settled");
}

#[test]
fn a_read_goes_out_when_it_is_due_and_four_at_once_at_most() {
    let mut side = Side::new();
    side.reads(THEIRS, 14_000);
    side.reads(THEIRS, 20_000);
    assert!(!side.it.read_due(Watch::Active, 90, at(29_999)));
    assert!(side.it.read_due(Watch::Active, 90, at(30_000)));
    assert!(!side.it.read_due(Watch::Active, 91, at(30_000)), "it counts as sent");
    for call in 91..94 {
        side.it.ask_now();
        assert!(side.it.read_due(Watch::Active, call, at(30_000)));
    }
    assert_eq!(side.wait(Watch::Active, 40_000), secs(1), "two that are under way hang");
    side.it.ask_now();
    assert!(!side.it.read_due(Watch::Active, 94, at(30_000)), "the fifth");
    side.answers(90, None, 30_001);
    assert!(side.it.read_due(Watch::Active, 94, at(30_001)), "it was still wanted");
    let mut one = Side::new();
    one.reads(THEIRS, 20_000);
    one.sends(30_000);
    assert_eq!(one.wait(Watch::Active, 30_000), secs(10), "one is under way");
}

#[test]
fn only_a_newer_answer_is_news() {
    let mut side = Side::new();
    let (first, second) = (side.sends(6000), side.sends(7000));
    assert!(side.answers(second, Some(THEIRS), 7100));
    assert!(!side.answers(first, Some(Owner::Mine), 7200), "overtaken");
    assert_eq!(side.says(7300), (true, Some(THEIRS)));
    assert!(!side.answers(second, Some(Owner::Mine), 7400), "answered already");
    assert!(!side.answers(99, Some(Owner::Mine), 7400), "never asked");
    let (one, other) = (side.sends(8000), side.sends(8000));
    assert!(side.answers(one, Some(THEIRS), 8001) && !side.answers(other, Some(Owner::Mine), 8002));
}

#[test]
fn what_fails_is_asked_again_each_second_at_first_and_then_backs_off() {
    let mut side = Side::new();
    side.reads(THEIRS, 14_000);
    for (failures, least) in [(1, 1), (2, 2), (3, 4), (4, 4), (20, 4)] {
        while side.it.failures < failures {
            let call = side.sends(30_000);
            assert!(!side.answers(call, None, 30_000));
        }
        let wait = side.wait(Watch::Active, 31_000);
        assert!(wait >= secs(least) && wait < secs(least + 1), "{failures}: {wait:?}");
    }
    side.it.closely(at(31_000));
    assert!(side.wait(Watch::Active, 31_001) >= secs(4), "what has failed for long is not asked each second");
    side.reads(THEIRS, 31_100);
    assert_eq!((side.it.failures, side.wait(Watch::Active, 31_200)), (0, secs(1)));
    for failures in [15, 16] {
        while side.it.failures < failures {
            let call = side.sends(31_300);
            side.answers(call, None, 31_300);
        }
        assert_eq!(side.wait(Watch::Active, 31_400) == secs(1), failures == 15);
    }
}

#[test]
fn a_change_asks_at_once_but_for_our_own_take() {
    let mut side = Side::new();
    side.reads(THEIRS, 20_000);
    side.it.changed(Change::OwnTake, at(20_100));
    assert!(!side.it.read_due(Watch::Active, 50, at(20_100)));
    side.it.changed(Change::To(THEIRS), at(20_200));
    assert!(side.it.read_due(Watch::Active, 51, at(20_200)));
}
