//! The group's service and its guard, with a systemd of the test's own: two scripts that write down what they
//! are told. (The real one: tests/lab/guard.) Agents run in a process of their own, whose PATH has the scripts.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::pair::{Pair, until};
use rustix::process::{Pid, Signal, kill_process};

const SYSTEMCTL: &str = r#"#!/bin/sh
cd "${0%/*}"
case "$1 $*" in
  show*.service) printf 'LoadState=loaded\nActiveState=inactive\nControlGroup=\nSlice=nowhere.slice\n' ;;
  show*) echo ControlGroup=/standin-nowhere.slice ;;
  kill*) exit 1 ;;
  stop*) echo "$*" >> hooks; [ ! -e hangs ] || exec sleep 600 ;;
  *) echo "$*" >> hooks; [ ! -e broken ] || { echo 'no such luck' >&2; exit 1; } ;;
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

/// The scripts' folder; at its end, the end of the guards that were started from it.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("systemctl", SYSTEMCTL), ("systemd-run", SYSTEMD_RUN)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
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

/// Runs one ignored test in a process of its own, with scripts instead of systemd.
pub(crate) fn with_scripts(test: &str) {
    let scripts = Scripts::new();
    let folder = scripts.0.path();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("PATH", path)
        .env("STANDIN_TEST_SCRIPTS", folder)
        .env("STANDIN_BIN", env!("CARGO_BIN_EXE_standin"))
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Where the scripts are; what they are told goes to the same file as what the hooks say.
fn scripts(pair: &Pair) -> PathBuf {
    let folder = PathBuf::from(std::env::var_os("STANDIN_TEST_SCRIPTS").unwrap());
    std::os::unix::fs::symlink(pair.folder.path().join("hooks"), folder.join("hooks")).unwrap();
    folder
}

fn touch(folder: &Path, name: &str) {
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
    let said = ["start --quiet -- den.service", "ivr-a promote ivr"];
    assert_eq!(pair.hooks().iter().rev().take(2).rev().collect::<Vec<_>>(), said);
    touch(&folder, "hangs");
    a.agent.as_ref().unwrap().stop();
    a.wait();
    let after: Vec<String> = pair.hooks().into_iter().skip_while(|it| it != said[1]).skip(1).collect();
    assert!(after.contains(&"stop --quiet -- den.service".to_owned()), "{after:?}");
    assert!(after.contains(&"ivr-a demote ivr".to_owned()), "{after:?}");
}

#[test]
fn a_start_that_fails_is_said() {
    with_scripts("service::a_start_that_fails");
}

#[test]
#[ignore = "run by a_start_that_fails_is_said"]
fn a_start_that_fails() {
    let mut pair = Pair::new();
    pair.tables = COLD;
    let folder = scripts(&pair);
    touch(&folder, "broken");
    let a = pair.start("ivr-a");
    let said = "service: `systemctl start --quiet -- den.service` failed: no such luck";
    until("it says so", 20, || a.group().failing.iter().any(|it| it == said));
}

#[test]
fn a_lease_without_a_guard_is_none() {
    with_scripts("service::a_lease_without_a_guard");
}

#[test]
#[ignore = "run by a_lease_without_a_guard_is_none"]
fn a_lease_without_a_guard() {
    let mut pair = Pair::new();
    pair.group = "arbiter = \"dynamodb\"";
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
