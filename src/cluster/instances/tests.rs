use super::*;

const OVERDUE: Duration = Duration::from_secs(6);

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

fn due(reads: &mut InstanceReads, call: u64, now: u64) -> bool {
    reads.due(true, false, OVERDUE, call, at(now))
}

#[test]
fn it_is_asked_every_five_seconds_and_each_second_while_it_matters() {
    let mut reads = InstanceReads::default();
    assert!(!reads.due(false, true, OVERDUE, 1, at(0)), "nobody wants to know");
    assert!(due(&mut reads, 1, 0));
    assert_eq!((reads.answered(1), reads.next()), (Some(at(0)), at(5000)));
    assert!(!due(&mut reads, 2, 4999) && due(&mut reads, 2, 5000));
    reads.answered(2);
    assert!(reads.due(true, true, OVERDUE, 3, at(10_000)));
    reads.answered(3);
    assert_eq!(reads.next(), at(11_000), "closely: one has been told to stop");
    reads.closely(at(11_000));
    assert!(due(&mut reads, 4, 11_000) && reads.answered(4).is_some() && reads.next() == at(12_000));
    assert!(due(&mut reads, 5, 25_999) && reads.answered(5).is_some() && reads.next() == at(26_999));
    assert!(due(&mut reads, 6, 26_999) && reads.answered(6).is_some() && reads.next() == at(31_999));
    reads.ask_now();
    assert!(due(&mut reads, 7, 27_000));
}

#[test]
fn one_question_at_a_time_until_it_is_overdue() {
    let mut reads = InstanceReads::default();
    assert!(due(&mut reads, 1, 0));
    assert!(!due(&mut reads, 2, 6000), "it may still be answered");
    assert!(due(&mut reads, 2, 6001));
    assert_eq!(reads.answered(1), None, "the answer to another question");
    assert_eq!(reads.answered(2), Some(at(6001)));
    assert_eq!(reads.answered(2), None, "once");
}
