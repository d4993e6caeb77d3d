use super::*;
use crate::config::{CheckKind, Need};
use crate::service::check::Outcome;

fn check(name: &str, on_fail: OnFail, when: When) -> Check {
    let kind = match name {
        "gateway" => CheckKind::Ping(vec!["10.0.1.1".parse().unwrap()], Need::Any),
        _ => CheckKind::Disk("/tmp".into()),
    };
    let every = Duration::from_secs(2);
    Check { name: name.into(), kind, every, timeout: every, rise: 1, fall: 3, when, on_fail }
}

struct Node {
    checks: Vec<Check>,
    found: Checks,
}

impl Node {
    fn with(check: Check) -> Self {
        let checks = vec![check];
        Self { found: Checks::new(&checks, Time::ZERO), checks }
    }

    fn hears(&self, times: u32, outcome: &Outcome) {
        for _ in 0..times {
            self.found.found().all[0].verdict.heard(outcome);
        }
    }

    fn told(&self, serves: bool, seconds: u64) -> Told {
        let now = Time::from_nanos(seconds * 1_000_000_000);
        told(&self.checks, &self.found.found().all, serves, now)
    }
}

fn silent() -> Outcome {
    Outcome::Failed("no answer within 1s".into())
}

#[test]
fn the_active_leaves_for_what_moves_and_for_nothing_else() {
    for (on_fail, fit) in [(OnFail::Move, false), (OnFail::Restart, true), (OnFail::Report, true)] {
        let node = Node::with(check("disk", on_fail, When::Always));
        node.hears(3, &silent());
        assert_eq!(node.told(true, 0), Told { fit, able: Ok(()) }, "{on_fail:?}");
        assert!(node.told(false, 0).fit, "a standby that holds its anchor serves all the same");
        node.hears(1, &Outcome::Ok);
        assert!(node.told(true, 0).fit);
    }
}

#[test]
fn a_standby_is_not_able_while_anything_is_down_that_counts() {
    for (on_fail, able) in [(OnFail::Move, false), (OnFail::Restart, false), (OnFail::Report, true)] {
        let node = Node::with(check("disk", on_fail, When::Always));
        node.hears(1, &Outcome::Ok);
        node.hears(2, &silent());
        assert_eq!(node.told(false, 0).able, Ok(()), "twice is not yet down");
        node.hears(1, &silent());
        let why = Err("check disk: no answer within 1s, 3 times in a row".to_owned());
        assert_eq!(node.told(false, 0).able, if able { Ok(()) } else { why }, "{on_fail:?}");
    }
    let never = Node::with(check("disk", OnFail::Move, When::Always));
    never.hears(1, &silent());
    let why = "check disk: no answer within 1s (it has not been well yet)".to_owned();
    assert_eq!(never.told(false, 0).able, Err(why));
}

#[test]
fn a_lost_witness_gives_the_others_the_time_to_lose_it_too() {
    let node = Node::with(check("gateway", OnFail::Move, When::Always));
    node.hears(4, &silent());
    assert!(node.told(true, 0).fit && node.told(false, 0).able.is_err());
    node.hears(1, &silent());
    assert!(!node.told(true, 0).fit);
    // Nobody else asks it: then there is nothing to wait for.
    let node = Node::with(check("gateway", OnFail::Move, When::Active));
    node.hears(3, &silent());
    assert!(!node.told(true, 0).fit);
}

#[test]
fn what_sent_the_group_away_is_held_against_the_node_for_a_minute() {
    let node = Node::with(check("disk", OnFail::Move, When::Active));
    node.hears(3, &silent());
    node.found.found().all[0].verdict.falls_quiet(Time::ZERO);
    let why = "check disk had failed when this node was last active: no answer within 1s".to_owned();
    assert_eq!(node.told(false, 59).able, Err(why));
    assert_eq!(node.told(false, 60).able, Ok(()));
    assert!(node.told(true, 0).fit);
}

#[test]
fn what_is_unknown_is_told_to_nobody() {
    let node = Node::with(check("gateway", OnFail::Move, When::Always));
    node.hears(9, &Outcome::Unknown("no ICMP socket".into()));
    assert_eq!(node.told(true, 0), Told { fit: true, able: Ok(()) });
    assert_eq!(node.told(false, 0), Told { fit: true, able: Ok(()) });
}
