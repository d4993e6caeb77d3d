//! A lost node's instance is brought back: from the core's wish to EC2's state, and to `status`.

use std::time::Duration;

use standin::config::{Recovery, WhenLost};
use standin::record::{Recording, Replay, What};
use standin::sandbox::model::{InstanceState, Spec};

use crate::pair::{Pair, settled, until};

fn recovering(when_lost: WhenLost) -> Pair {
    let mut spec = Spec::pair();
    spec.settings.hard_stop_time = Duration::from_millis(500);
    spec.settings.start_time = Duration::from_millis(500);
    // Shorter than the file allows: a test cannot wait for a minute.
    let recovery = Recovery { when_lost, boot_time: Duration::from_secs(3), attempts: 1 };
    Pair { recovery: Some(recovery), ..Pair::of(&spec) }
}

/// Its state, and how often it was rebooted.
fn a(pair: &Pair) -> (InstanceState, u32) {
    let of = |it: &standin::sandbox::model::Instance| (it.state, it.reboots);
    pair.world.with(|vpc| vpc.state().instances.values().find(|it| it.name == "ivr-a").map(of).unwrap())
}

#[test]
fn who_took_over_has_the_dead_node_rebooted_and_says_so() {
    let pair = recovering(WhenLost::Reboot);
    let (mut dead, b) = settled(&pair);
    dead.kill();
    until("it is to be recovered", 20, || b.node("ivr-a").recovery.is_some_and(|it| it.state == "waiting"));
    until("ivr-a is rebooted", 30, || a(&pair) == (InstanceState::Running, 1));
    until("its attempt is counted", 5, || b.node("ivr-a").recovery.is_some_and(|it| it.attempts == 1));
    let said = |it: &String| it.contains("attempts to recover ivr-a: 1, and it is not heard: look at it");
    until("it is given up", 30, || b.status().problems.iter().any(said));
    assert_eq!(a(&pair), (InstanceState::Running, 1));
    let folder = pair.config("ivr-b").state_dir;
    drop(b);
    let recording = Recording::read_ring(&folder).unwrap();
    let replayed = Replay::all(recording.segments.last().unwrap()).unwrap();
    assert_eq!(replayed.differences, []);
    assert!(replayed.recorded.iter().any(|it| matches!(it.what, What::Recover(..))));
}

#[test]
fn a_restart_stops_it_and_starts_it() {
    let pair = recovering(WhenLost::Restart);
    let (mut dead, b) = settled(&pair);
    dead.kill();
    until("ivr-a is stopped", 40, || a(&pair).0 == InstanceState::Stopped);
    until("ivr-a is started", 40, || a(&pair).0 == InstanceState::Running);
    let calls = b.line.calls.lock().unwrap().clone();
    let count = |action: &str| calls.iter().filter(|it| **it == action).count();
    assert_eq!((count("StopInstances"), count("StartInstances"), count("RebootInstances")), (1, 1, 0));
}
