//! A unit over D-Bus, with real systemd: run by tests/lab/unit, in an instance that boots Debian. Each test has a
//! unit of its own, which the script has put there.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]
#![allow(clippy::print_stdout, reason = "what was seen is said")]
#![allow(clippy::disallowed_methods, reason = "how long a death took to be noticed")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use standin::service::state::{Sight, State};
use standin::service::supervised::{Supervised, Watched};
use standin::service::systemd::Unit;

const PATIENCE: Duration = Duration::from_secs(20);

fn systemctl(words: &[&str]) -> String {
    let output = Command::new("systemctl").args(words).output().unwrap();
    assert!(output.status.success(), "systemctl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn main_pid(unit: &str) -> String {
    systemctl(&["show", "--property=MainPID", "--value", "--", unit])
}

/// The unit, started and seen to run.
async fn up(name: &str) -> (Unit, Watched) {
    let unit = Unit::new(name);
    let mut watched = Supervised::Unit(unit.clone()).watch();
    unit.start(PATIENCE).await.unwrap_or_else(|failure| panic!("{failure}"));
    seen(&mut watched, "it to run", |sight| sight.state.runs() == Some(true)).await;
    (unit, watched)
}

/// Waits until it is seen so; answers what is seen.
async fn seen(watched: &mut Watched, what: &str, so: impl Fn(&Sight) -> bool) -> Sight {
    let sight = tokio::time::timeout(PATIENCE, watched.sight.wait_for(|it| so(it))).await;
    let sight = sight.ok().map(|it| it.unwrap().clone());
    sight.unwrap_or_else(|| panic!("waited for {what} in vain: {:?}", *watched.sight.borrow()))
}

/// Kills the unit's process, and answers how long it took until that was seen.
async fn kill(name: &str, watched: &mut Watched) -> (Duration, Sight) {
    let (deaths, pid) = (watched.sight.borrow().deaths, main_pid(name));
    let killed_at = Instant::now();
    // The shell's own: a process for it would count as time.
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let sight = seen(watched, "its death", |sight| sight.deaths > deaths).await;
    (killed_at.elapsed(), sight)
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn a_death_is_noticed_at_once() {
    let (unit, mut watched) = up("den-plain.service").await;
    for n in 1..=20 {
        let (took, sight) = kill(unit.name(), &mut watched).await;
        assert_eq!((sight.deaths, sight.death.why.as_str()), (n, "killed by SIGKILL"));
        assert_eq!(sight.state, State::Failed("killed by SIGKILL".into()));
        println!("death noticed after {took:?}");
        // More often than systemd's own limit (five in ten seconds) would have it.
        unit.start(PATIENCE).await.unwrap_or_else(|failure| panic!("{failure}"));
        seen(&mut watched, "it to run", |sight| sight.state.runs() == Some(true)).await;
    }
    unit.stop(None, PATIENCE).await.unwrap();
    let sight = watched.look_again(PATIENCE).await.0;
    assert_eq!(sight.state, State::Stopped);
    assert!(unit.show().await.unwrap().1.cgroup.path().ends_with("/den-plain.service"));
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn systemds_own_restart_is_one_death() {
    for name in ["den-restart.service", "den-at-once.service"] {
        let (unit, mut watched) = up(name).await;
        for n in 1..=3 {
            let before = main_pid(name);
            let (took, sight) = kill(name, &mut watched).await;
            println!("{name}: death noticed after {took:?}, {:?}: {}", sight.state, sight.death);
            seen(&mut watched, "systemd's restart", |sight| sight.state.runs() == Some(true)).await;
            assert_ne!(main_pid(name), before);
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(watched.look_again(PATIENCE).await.0.deaths, n);
        }
        unit.stop(None, PATIENCE).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn an_operators_restart_is_no_death() {
    let (unit, mut watched) = up("den-plain-2.service").await;
    let before = main_pid(unit.name());
    systemctl(&["restart", unit.name()]);
    assert_ne!(main_pid(unit.name()), before);
    let sight = watched.look_again(PATIENCE).await.0;
    assert_eq!((sight.deaths, sight.state.runs()), (0, Some(true)));
    systemctl(&["stop", unit.name()]);
    let sight = watched.look_again(PATIENCE).await.0;
    assert_eq!((sight.deaths, sight.state), (1, State::Stopped), "what should run has stopped");
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn a_start_says_how_it_failed() {
    let fails = async |name: &str, bound: Duration| {
        let failure = Unit::new(name).start(bound).await.unwrap_err();
        println!("{failure}");
        assert!(!failure.unknown, "{failure}");
        failure.why
    };
    let why = fails("den-exits.service", PATIENCE).await;
    assert!(why.starts_with("den-exits.service did not start: ") && why.contains("exit code 3"), "{why}");
    assert!(why.contains("`journalctl -u den-exits.service`"), "{why}");
    let why = fails("den-slow.service", Duration::from_millis(300)).await;
    assert!(why.starts_with("den-slow.service did not start within 300ms"), "{why}");
    let why = fails("den-needs.service", PATIENCE).await;
    assert!(why.contains("a unit that it depends on failed"), "{why}");
    let why = fails("den-condition.service", PATIENCE).await;
    assert!(why.contains("systemd's job is done, but it does not run"), "{why}");
    let why = fails("den-nowhere.service", PATIENCE).await;
    assert!(why.contains("not found"), "{why}");
    let show = Unit::new("den-nowhere.service").show().await.unwrap_err().to_string();
    assert!(show.contains("no usable unit den-nowhere.service (not-found)"), "{show}");
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn a_stop_that_hangs_ends_in_a_kill() {
    let (unit, mut watched) = up("den-deaf.service").await;
    let cgroup = unit.show().await.unwrap().1.cgroup;
    assert!(cgroup.processes().unwrap() >= 1);
    unit.stop(Some(&cgroup), Duration::from_millis(500)).await.unwrap();
    assert_eq!(cgroup.processes().unwrap(), 0);
    // It has Restart=always: systemd was told, so that it does not come back.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(cgroup.processes().unwrap(), 0);
    assert_ne!(watched.look_again(PATIENCE).await.0.state.runs(), Some(true));
}

#[tokio::test]
#[ignore = "run by tests/lab/unit, in an instance with systemd"]
async fn a_bus_that_goes_is_unknown_and_what_happened_meanwhile_is_found() {
    let (unit, mut watched) = up("den-plain-3.service").await;
    let pid = main_pid(unit.name());
    systemctl(&["stop", "dbus.socket", "dbus.service"]);
    seen(&mut watched, "not to know", |sight| matches!(sight.state, State::Unknown(_))).await;
    assert!(unit.start(PATIENCE).await.unwrap_err().unknown, "nobody can say that it does not run");
    assert_eq!(watched.sight.borrow().deaths, 0);
    Command::new("kill").args(["-KILL", &pid]).status().unwrap();
    systemctl(&["start", "dbus.socket"]);
    let sight = seen(&mut watched, "its death", |sight| sight.deaths == 1).await;
    println!("after the bus came back: {:?}", sight.state);
    unit.start(PATIENCE).await.unwrap_or_else(|failure| panic!("{failure}"));
    // systemd that executes itself anew forgets who wanted to be told.
    systemctl(&["daemon-reexec"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen(&mut watched, "it to run", |sight| sight.state.runs() == Some(true)).await;
    let (took, _) = kill(unit.name(), &mut watched).await;
    println!("after daemon-reexec: death noticed after {took:?}");
    assert!(fs::exists("/run/systemd/system").unwrap());
}
