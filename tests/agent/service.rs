//! The group's service and its guard, with a systemd of the test's own: a bus, and two scripts for the guard. (The
//! real one: tests/lab/unit, tests/lab/guard.) Agents run in a process of their own, whose environment has them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use standin::agent::clock;
use standin::agent::guard::{Ask, Client, nanos, socket_beside};
use standin::control::client;
use standin::control::protocol::{Request, Response};
use standin::service::cgroup::Cgroup;

use crate::pair::{Pair, until};
use crate::systemd::{self, Systemd};

const SYSTEMCTL: &str = r#"#!/bin/sh
cd "${0%/*}"
case "$1 $*" in
  kill*) exit 1 ;;
  stop*) echo inactive > state ;;
esac
"#;
/// The guard is the real one. The agent of a test is not `standin`, so the program is another.
const SYSTEMD_RUN: &str = r#"#!/bin/sh
cd "${0%/*}"
[ ! -e no-bus ] || { echo no bus >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift 2
"$STANDIN_BIN" "$1" "$2" "$3" > guard.log 2>&1 &
echo $! >> guards
"#;
const COLD: &str = "[group.service]\nunit = \"den.service\"\nstandby = \"cold\"\nstop-timeout = \"300ms\"\n";

/// The folder of systemd and its scripts; at its end, the end of the guards that were started from it.
struct Scripts(tempfile::TempDir, #[allow(dead_code, reason = "it is held")] Systemd);

impl Scripts {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let systemd = Systemd::start(folder.path());
        Self(folder, systemd)
    }
}

impl Drop for Scripts {
    fn drop(&mut self) {
        let guards = fs::read_to_string(self.0.path().join("guards")).unwrap_or_default();
        for pid in guards.lines().filter_map(|it| Pid::from_raw(it.parse().ok()?)) {
            let _killed = kill_process(pid, Signal::KILL);
        }
    }
}

/// One ignored test, for a process of its own, with scripts instead of systemd.
fn command(test: &str, scripts: &Scripts) -> Command {
    let folder = scripts.0.path();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("PATH", path)
        .env("DBUS_SYSTEM_BUS_ADDRESS", systemd::address(folder))
        .env("STANDIN_TEST_SCRIPTS", folder)
        .env("STANDIN_BIN", env!("CARGO_BIN_EXE_standin"));
    command
}

/// Runs one ignored test with scripts instead of systemd.
pub(crate) fn with_scripts(test: &str) {
    let output = command(test, &Scripts::new()).output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Where the scripts are; what they are told goes to the same file as what the hooks say.
pub(crate) fn scripts(pair: &Pair) -> PathBuf {
    let folder = PathBuf::from(std::env::var_os("STANDIN_TEST_SCRIPTS").unwrap());
    std::os::unix::fs::symlink(pair.folder.path().join("hooks"), folder.join("hooks")).unwrap();
    folder
}

pub(crate) fn touch(folder: &Path, name: &str) {
    fs::write(folder.join(name), "").unwrap();
}

#[test]
fn a_cold_service_runs_where_its_group_is_active() {
    with_scripts("service::a_cold_service");
}

#[test]
#[ignore = "run by a_cold_service_runs_where_its_group_is_active"]
fn a_cold_service() {
    let mut pair = Pair::new();
    pair.tables = COLD;
    let folder = scripts(&pair);
    let mut a = pair.start("ivr-a");
    until("it is active", 20, || a.group().role == "active" && a.group().reached);
    // Before the hook, which may want to speak to it.
    let said = ["start den.service", "ivr-a promote ivr"];
    assert_eq!(pair.hooks().iter().rev().take(2).rev().collect::<Vec<_>>(), said);
    touch(&folder, "hangs");
    a.agent.as_ref().unwrap().stop();
    a.wait();
    let after: Vec<String> = pair.hooks().into_iter().skip_while(|it| it != said[1]).skip(1).collect();
    assert!(after.contains(&"stop den.service".to_owned()), "{after:?}");
    assert!(after.contains(&"ivr-a demote ivr".to_owned()), "{after:?}");
}

#[test]
fn a_stop_that_systemd_has_not_heard_of_is_none() {
    with_scripts("service::a_stop_that_is_refused");
}

#[test]
#[ignore = "run by a_stop_that_systemd_has_not_heard_of_is_none"]
fn a_stop_that_is_refused() {
    let mut pair = Pair::new();
    pair.tables = COLD;
    let folder = scripts(&pair);
    let mut a = pair.start("ivr-a");
    until("it is active", 20, || a.group().role == "active" && a.group().reached);
    touch(&folder, "refuses");
    // As a unit with `Restart=` is, after its processes were killed.
    fs::write(folder.join("state"), "activating").unwrap();
    a.agent.as_ref().unwrap().stop();
    let said = "service: systemd's StopUnit failed: not today ";
    until("it says so", 20, || a.group().failing.iter().any(|it| it.starts_with(said)));
    let stops = || pair.hooks().iter().filter(|it| it.starts_with("stop")).count();
    let before = stops();
    until("it tries again", 20, || stops() > before + 1);
    assert!(!a.group().reached, "nothing has stopped yet");
    fs::remove_file(folder.join("refuses")).unwrap();
    a.wait();
}

#[test]
fn a_start_that_fails_and_one_at_boot_are_said() {
    with_scripts("service::a_start_that_fails");
}

#[test]
#[ignore = "run by a_start_that_fails_and_one_at_boot_are_said"]
fn a_start_that_fails() {
    let mut pair = Pair::new();
    pair.tables = COLD;
    let folder = scripts(&pair);
    touch(&folder, "broken");
    fs::write(folder.join("boot"), "enabled").unwrap();
    let a = pair.start("ivr-a");
    let said =
        "service: den.service did not start: systemd's job failed, exit code 7; `journalctl -u den.service`";
    until("it says so", 20, || a.group().failing.iter().any(|it| it.starts_with(said)));
    let said = "at boot: systemd starts den.service whether this node is active or not: `systemctl disable den.service`";
    assert!(a.group().failing.iter().any(|it| it == said), "a cold one is not to be enabled");
    until("it is barred", 20, || a.group().barred && a.group().fail_count == 3);
    assert!(
        a.status().problems.iter().any(|it| it == "ivr: the service is barred from this node, fail count 3")
    );
    fs::remove_file(folder.join("broken")).unwrap();
    let cleanup = || client::ask(&a.socket, Request::Cleanup { group: "ivr".into() }).unwrap();
    assert_eq!(cleanup(), Response::Accepted);
    until("that is forgotten", 20, || !a.group().barred && a.group().fail_count == 0);
}

#[test]
fn a_lease_without_a_guard_is_none() {
    with_scripts("service::a_lease_without_a_guard");
}

#[test]
#[ignore = "run by a_lease_without_a_guard_is_none"]
fn a_lease_without_a_guard() {
    let mut pair = Pair::new();
    pair.group = "arbiter = \"dynamodb\"".into();
    pair.tables = "[group.service]\nunit = \"den.service\"\n";
    touch(&scripts(&pair), "no-bus");
    let a = pair.start("ivr-a");
    let why = "without its guard a lease promises nothing: the guard cannot be started: `systemd-run";
    until("it is not able", 20, || {
        let takeover = a.group().takeover;
        !takeover.works && takeover.because.contains(why) && takeover.because.contains("no bus")
    });
    assert!(!pair.hooks().iter().any(|it| it.starts_with("start")), "nothing is started without a guard");
}

#[test]
fn the_lease_of_a_killed_agent_does_not_outlive_it_by_its_service() {
    its_service_dies(Signal::KILL);
}

#[test]
fn the_lease_of_a_frozen_agent_does_not_outlive_it_by_its_service() {
    its_service_dies(Signal::STOP);
}

/// What must not stay behind.
struct Run {
    agent: Child,
    cgroup: Cgroup,
    inside: PathBuf,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ended = self.agent.kill();
        let _reaped = self.agent.wait();
        while self.cgroup.kill().is_ok_and(|left| left > 0) {
            std::thread::sleep(Duration::from_millis(5));
        }
        for folder in self.inside.ancestors().take(2) {
            let _removed = fs::remove_dir(folder);
        }
    }
}

/// A whole agent with a lease that it renews, a process in a real cgroup as its service, the real guard.
#[allow(clippy::print_stdout, reason = "what was not tested, and what was seen, is said")]
fn its_service_dies(by: Signal) {
    let scripts = Scripts::new();
    let folder = scripts.0.path();
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let root = if unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/systemd" };
    let path = format!("/standin-test-{}-{by:?}.slice/den.service", std::process::id());
    let inside = PathBuf::from(format!("{root}{path}"));
    if let Err(error) = fs::create_dir_all(&inside) {
        println!("SKIPPED: no cgroup can be made in {root} ({error}), so the guard was NOT tested");
        return;
    }
    fs::write(folder.join("cgroup"), &path).unwrap();
    fs::write(folder.join("procs"), inside.join("cgroup.procs").display().to_string()).unwrap();
    let cgroup = Cgroup::of_unit("den.service", &path).unwrap();
    let mut command = command("service::an_agent_with_a_lease", &scripts);
    let agent = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = Run { agent, cgroup: cgroup.clone(), inside };
    until("the service runs", 60, || cgroup.processes().unwrap() == 1);
    let socket = fs::read_to_string(folder.join("socket")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut guard = Client::new(Path::new(&socket));
    let mut watched = || runtime.block_on(guard.ask(Ask::Look)).unwrap().watched.remove(0);
    let first = watched().until;
    let lease = Duration::from_secs(5);
    until("it lives on by renewals", 60, || Duration::from_nanos(watched().until - first) > lease * 2);
    assert_eq!((cgroup.processes().unwrap(), watched().fired_at), (1, None));
    kill_process(Pid::from_raw(i32::try_from(run.agent.id()).unwrap()).unwrap(), by).unwrap();
    until("its service dies", 60, || cgroup.processes().unwrap() == 0);
    let dead_at = nanos(clock::now());
    let end = watched();
    let fired_at = end.fired_at.unwrap();
    assert!(fired_at >= end.until && dead_at >= fired_at && end.killed >= 1, "{end:?}, dead at {dead_at}");
    println!("dead {:?} after its deadline", Duration::from_nanos(dead_at - end.until));
}

#[test]
#[ignore = "run by its_service_dies, which ends it"]
fn an_agent_with_a_lease() {
    let pair = Pair {
        group: "arbiter = \"dynamodb\"".into(),
        tables: "[group.service]\nunit = \"den.service\"\n[lease]\nlength = \"5s\"\nstop-bound = \"1s\"",
        leases: Some(Arc::default()),
        ..Pair::new()
    };
    let folder = scripts(&pair);
    let socket = socket_beside(&pair.config("ivr-a").socket);
    fs::write(folder.join("socket"), socket.display().to_string()).unwrap();
    let mut a = pair.start("ivr-a");
    a.wait();
}
