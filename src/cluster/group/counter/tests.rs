use super::*;
use crate::cluster::node::Session;

const HOLDER: NodeId = NodeId(1);

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

fn counter(n: u64) -> Option<Counter> {
    Some(Counter { node: HOLDER, session: Session(1), n })
}

/// EC2 has taken a write of our own at 0.
fn writable() -> Rest {
    let mut rest = Rest::default();
    rest.own_tag_answered(true, at(0));
    rest
}

#[test]
fn the_active_writes_at_once_and_then_every_five_seconds() {
    let mut writer = Writer::default();
    assert_eq!((writer.due(false, at(0)), writer.deadline()), (None, None));
    assert_eq!((writer.due(true, at(0)), writer.deadline()), (Some(1), Some(at(5000))));
    assert_eq!((writer.due(true, at(4999)), writer.due(true, at(5000))), (None, Some(2)));
    assert_eq!((writer.due(false, at(5001)), writer.deadline()), (None, None));
    assert_eq!(writer.due(true, at(5002)), Some(3), "it goes on where it was");
}

#[test]
fn four_good_reads_over_thirty_seconds_are_rest() {
    for (reads, rests) in [
        (&[0, 10_000, 20_000, 30_000][..], true),
        (&[0, 10_000, 20_000, 29_999], false),
        (&[0, 15_000, 30_000], false),
        (&[0, 1, 2, 3, 30_000], true),
    ] {
        let mut rest = writable();
        for read in reads {
            // Each of our own writes is answered, too.
            rest.own_tag_answered(true, at(*read));
            rest.saw(HOLDER, counter(7), at(*read));
        }
        assert_eq!(rest.at_rest(HOLDER, at(30_000)), rests, "{reads:?}");
        assert!(!rest.at_rest(NodeId(2), at(30_000)), "another one's counter");
    }
}

fn rested() -> Rest {
    let mut rest = writable();
    for read in [0, 10_000, 20_000, 30_000] {
        rest.own_tag_answered(true, at(read));
        rest.saw(HOLDER, counter(7), at(read));
    }
    rest
}

#[test]
fn rest_is_worth_something_only_while_our_own_writes_are_taken() {
    let rest = rested();
    assert!(rest.at_rest(HOLDER, at(59_999)));
    assert!(!rest.at_rest(HOLDER, at(60_000)));
    let mut rest = rested();
    rest.own_tag_answered(false, at(31_000));
    assert!(!rest.at_rest(HOLDER, at(31_000)));
    rest.own_tag_answered(true, at(32_000));
    assert!(!rest.at_rest(HOLDER, at(32_000)), "one that failed starts the count anew");
    let mut rest = rested();
    rest.own_tag_answered(true, at(40_000));
    rest.saw(HOLDER, counter(7), at(69_999));
    assert!(rest.at_rest(HOLDER, at(69_999)));
    rest.saw(HOLDER, counter(7), at(70_000));
    rest.own_tag_answered(true, at(70_001));
    assert!(!rest.at_rest(HOLDER, at(70_001)), "a read while nobody could write starts the count anew");
}

#[test]
fn a_counter_that_moves_or_is_anothers_is_not_at_rest() {
    let mut rest = rested();
    rest.saw(HOLDER, counter(8), at(31_000));
    assert!(!rest.at_rest(HOLDER, at(31_000)));
    let mut rest = rested();
    rest.saw(NodeId(2), counter(7), at(31_000));
    assert!(!rest.at_rest(HOLDER, at(31_000)) && !rest.at_rest(NodeId(2), at(31_000)));
    let mut rest = rested();
    rest.forget();
    assert!(!rest.at_rest(HOLDER, at(31_000)));
    let mut rest = rested();
    rest.saw(HOLDER, counter(7), at(29_000));
    assert!(rest.at_rest(HOLDER, at(31_000)), "answers may come in another order");
}

#[test]
fn a_write_of_our_own_is_tried_every_ten_seconds() {
    let mut rest = Rest::default();
    assert!(rest.own_tag_due(at(0)));
    assert_eq!(rest.deadline(), Some(at(10_000)));
    assert!(!rest.own_tag_due(at(9999)) && rest.own_tag_due(at(10_000)));
    rest.forget();
    assert_eq!(rest.deadline(), None);
    assert!(rest.own_tag_due(at(10_001)), "a new silence begins with a write");
}
