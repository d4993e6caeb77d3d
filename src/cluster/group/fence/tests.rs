use super::*;
use crate::cluster::settings::Settings;

fn at(ms: u64) -> Time {
    Time::from_nanos((100_000 + ms) * 1_000_000)
}

#[test]
fn it_wakes_when_the_next_call_the_bound_or_the_next_round_is_due() {
    let fence = Fence { next: at(500), ..Fence::new(NodeId(1), at(0)) };
    assert_eq!((Fence::new(NodeId(1), at(0)).deadline(), fence.deadline()), (Some(at(0)), Some(at(500))));
    let accepted = Fence { accepted: Some(at(1000)), ..fence };
    assert_eq!(accepted.deadline(), Some(at(181_000)));
    let failed = Fence { failed: Some(at(181_000)), ..accepted };
    assert_eq!(failed.deadline(), Some(at(241_000)));
}

#[test]
fn only_who_was_told_lately_that_it_runs_is_well() {
    let settings = Settings::default();
    let unwell_at = |now, own_running, stalled_at| {
        let cx = Context {
            settings: &settings,
            peers: &[],
            now: at(now),
            started: at(0),
            stalled_at,
            own_running,
        };
        unwell(&cx)
    };
    let runs = Some((at(0), Running::Yes));
    assert_eq!((unwell_at(0, runs, None), unwell_at(29_999, runs, None)), (None, None));
    assert!(unwell_at(30_000, runs, None).unwrap().contains("not said lately"));
    assert!(unwell_at(0, None, None).unwrap().contains("not said lately"));
    for ends in [Running::Ending, Running::No] {
        assert!(unwell_at(0, Some((at(0), ends)), None).unwrap().contains("is stopping"));
    }
    assert!(unwell_at(4999, runs, Some(at(0))).unwrap().contains("just not run"));
    assert_eq!(unwell_at(5000, runs, Some(at(0))), None);
}
