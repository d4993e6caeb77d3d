use super::*;

const TIMEOUT: Duration = Duration::from_secs(3);

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn made(to: Option<u8>, stopped: bool) -> Made {
    Made::new(7, 5, to.map(NodeId), stopped, TIMEOUT, at(0))
}

#[test]
fn an_offer_is_said_for_ten_seconds_and_over_when_no_call_can_land_any_more() {
    let offer = made(Some(1), true);
    let said = offer.as_said(at(4000)).unwrap();
    assert_eq!(said, Offer { id: 7, term: 5, to: Some(NodeId(1)), ttl: ms(6000), stopped: true });
    assert!(offer.as_said(at(9999)).is_some() && offer.as_said(at(10_000)).is_none());
    assert!(!offer.over(at(12_999)) && offer.over(at(13_000)));
}

#[test]
fn it_is_repeated_with_back_off_until_it_is_answered() {
    let mut offer = made(None, true);
    assert_eq!(offer.deadline(), at(10));
    let due: Vec<u64> = (0..1500).filter(|now| offer.repeat_due(ms(250), at(*now))).collect();
    assert_eq!(due, [10, 30, 70, 150, 310, 560, 810, 1060, 1310]);
    assert!(offer.repeat_due(ms(250), at(9999)) && !offer.repeat_due(ms(250), at(10_249)));
    assert_eq!(offer.deadline(), at(10_249).min(at(13_000)));
    assert!(!offer.proceed(Some(NodeId(1)), false, TIMEOUT, at(5000)), "warm: nothing more to say");
    assert_eq!((offer.answered_by, offer.deadline()), (Some(NodeId(1)), at(13_000)));
    assert!(!offer.repeat_due(ms(250), at(6000)));
}

#[test]
fn a_cold_service_stops_for_the_first_who_is_ready_and_only_then_may_be_taken() {
    let mut offer = made(None, false);
    assert!(!offer.proceed(None, true, TIMEOUT, at(100)), "nobody is ready: nothing stops");
    assert_eq!((offer.stops, offer.stopped), (false, false));
    assert!(offer.proceed(Some(NodeId(2)), false, TIMEOUT, at(1000)));
    assert_eq!((offer.stops, offer.stopped, offer.to), (true, false, Some(NodeId(2))));
    assert_eq!(offer.as_said(at(1000)).unwrap().ttl, ms(10_000), "each step begins the ttl anew");
    assert!(!offer.proceed(Some(NodeId(1)), false, TIMEOUT, at(1500)), "the second one comes too late");
    assert_eq!(offer.answered_by, Some(NodeId(2)));
    assert!(offer.proceed(Some(NodeId(2)), true, TIMEOUT, at(3000)));
    assert!(offer.stopped && !offer.over(at(15_999)) && offer.over(at(16_000)));
    assert!(!offer.proceed(Some(NodeId(2)), true, TIMEOUT, at(4000)), "no news twice");
}

#[test]
fn an_answer_to_an_offer_that_has_run_out_does_not_count() {
    for (now, counts) in [(9999, true), (10_000, false)] {
        let mut offer = made(None, false);
        assert_eq!(offer.proceed(Some(NodeId(1)), false, TIMEOUT, at(now)), counts);
        assert_eq!((offer.answered_by.is_some(), offer.stops), (counts, counts));
    }
}

#[test]
fn the_taker_has_half_of_the_ttl_and_a_repetition_does_not_prolong_it() {
    let offer =
        |id, ttl, to: Option<u8>, stopped| Offer { id, term: 5, to: to.map(NodeId), ttl: ms(ttl), stopped };
    let hear = |old, offer: &Offer, now| Heard::hear(old, NodeId(1), NodeId(0), offer, at(now));
    let first = hear(None, &offer(7, 10_000, Some(0), true), 0).unwrap();
    assert_eq!((first.from, first.id, first.to_me, first.stopped), (NodeId(1), 7, true, true));
    assert_eq!(first.take_by, at(5000));
    let take_by = |old, offer: &Offer, now| hear(Some(old), offer, now).unwrap().take_by;
    assert_eq!(take_by(first, &offer(7, 10_000, Some(0), true), 900), at(5000), "delayed on its way");
    assert_eq!(take_by(first, &offer(7, 8000, Some(0), true), 900), at(4900), "the earliest bound counts");
    assert_eq!(take_by(first, &offer(8, 10_000, Some(0), true), 900), at(5900), "another offer");
    assert_eq!(take_by(first, &offer(7, 10_000, Some(0), false), 900), at(5900), "another step of it");
    let other = Heard { from: NodeId(2), ..first };
    assert_eq!(take_by(other, &offer(7, 10_000, Some(0), true), 900), at(5900), "another's");
    assert_eq!(hear(None, &offer(7, 10_000, Some(2), true), 0), None, "not for us");
    assert!(!hear(None, &offer(7, 10_000, None, true), 0).unwrap().to_me, "for anybody");
}
