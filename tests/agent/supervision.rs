//! What becomes of a service that dies, of one that runs where it should not, and of the hooks around it. As in
//! `service`, systemd is the test's own, and each agent runs in a process of its own.

use std::fs;
use std::path::Path;

use standin::control::client;
use standin::control::protocol::{Group, Request, Response};

use crate::pair::{Member, Pair, until};
use crate::service::{scripts, touch, with_scripts};

const WARM: &str = "[group.service]\nunit = \"den.service\"\nstandby = \"warm\"\nstop-timeout = \"300ms\"\n";
const COLD: &str = "[group.service]\nunit = \"den.service\"\nstandby = \"cold\"\nstop-timeout = \"300ms\"\n";

/// With timers that a busy machine keeps: what fails while an agent has just stood still does not count.
fn pair(tables: &'static str) -> Pair {
    Pair { tables, timers: ("500ms", "3s"), ..Pair::new() }
}

fn active(pair: &Pair) -> Member {
    let a = pair.start("ivr-a");
    until("it is active", 20, || a.group().role == "active" && a.group().reached);
    a
}

/// The unit's process is killed; `after` is what systemd makes of it.
fn dies(folder: &Path, after: &[(&str, &str)]) {
    let death = [("result", "signal"), ("code", "2"), ("status", "9")];
    for (name, text) in death.iter().chain(after) {
        let new = folder.join(format!(".{name}-new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, folder.join(name)).unwrap();
    }
}

fn said(group: &Group, beginning: &str, end: &str) -> bool {
    group.failing.iter().any(|it| it.starts_with(beginning) && it.ends_with(end))
}

fn count(pair: &Pair, line: &str) -> usize {
    pair.hooks().iter().filter(|it| *it == line).count()
}

fn ask(node: &Member, request: Request) {
    assert_eq!(client::ask(&node.socket, request).unwrap(), Response::Accepted);
}

const DIED: &str = "service: den.service failed (killed by SIGKILL) ";

#[test]
fn a_service_that_dies_is_counted_and_started_again() {
    with_scripts("supervision::a_service_that_dies");
}

#[test]
#[ignore = "run by a_service_that_dies_is_counted_and_started_again"]
fn a_service_that_dies() {
    let pair = pair(WARM);
    let folder = scripts(&pair);
    let a = active(&pair);
    let starts = || count(&pair, "start den.service");
    let before = starts();
    dies(&folder, &[("state", "failed")]);
    until("it is started again", 20, || starts() > before);
    until("that is said", 20, || said(&a.group(), DIED, " ago; restarted, 1 of 3 before it is barred"));
    assert_eq!((a.group().fail_count, a.group().role.as_str()), (1, "active"));
    // It has no more to die of when the bus has gone and come back; and what happens then is noticed as before.
    touch(&folder, "restarts-bus");
    until("the bus is back", 20, || !folder.join("restarts-bus").exists());
    for n in 2..=4 {
        let before = starts();
        dies(&folder, &[("state", "failed")]);
        until("it is started again, also when it is barred", 30, || starts() > before);
        until("it is counted", 20, || a.group().fail_count == n && a.group().barred == (n >= 3));
        let count = match n {
            2 => "2 of 3 before it is barred".to_owned(),
            _ => format!("barred from this node (fail count {n})"),
        };
        until("it runs", 20, || said(&a.group(), DIED, &format!("; restarted, {count}")));
    }
    assert_eq!(a.group().role, "active", "nobody may take over");
}

#[test]
fn systemds_own_restart_is_counted_once_and_not_fought() {
    with_scripts("supervision::systemds_own_restart");
}

#[test]
#[ignore = "run by systemds_own_restart_is_counted_once_and_not_fought"]
fn systemds_own_restart() {
    let pair = pair(WARM);
    let folder = scripts(&pair);
    let a = active(&pair);
    let starts = || count(&pair, "start den.service");
    let before = starts();
    dies(&folder, &[("sub", "auto-restart"), ("state", "activating")]);
    until("it is counted", 20, || a.group().fail_count == 1);
    until("that is said", 20, || {
        said(&a.group(), DIED, "it is being started, not by this agent, 1 of 3 before it is barred")
    });
    dies(&folder, &[("result", "success"), ("sub", "running"), ("restarts", "1"), ("state", "active")]);
    until("that is said", 20, || said(&a.group(), DIED, "it runs again, 1 of 3 before it is barred"));
    assert_eq!((a.group().fail_count, starts()), (1, before));
}

#[test]
fn what_dies_in_maintenance_is_left_alone_until_that_is_over() {
    with_scripts("supervision::maintenance");
}

#[test]
#[ignore = "run by what_dies_in_maintenance_is_left_alone_until_that_is_over"]
fn maintenance() {
    let pair = pair(WARM);
    let folder = scripts(&pair);
    let a = active(&pair);
    ask(&a, Request::Maintenance { group: "ivr".into(), on: true });
    until("it is in maintenance", 20, || a.group().maintenance);
    let starts = || count(&pair, "start den.service");
    let before = starts();
    dies(&folder, &[("state", "failed")]);
    until("it is said", 20, || said(&a.group(), DIED, " ago; nothing is done: maintenance is on"));
    assert_eq!((a.group().fail_count, starts()), (0, before));
    ask(&a, Request::Maintenance { group: "ivr".into(), on: false });
    until("it is started", 20, || starts() > before);
    assert_eq!(a.group().fail_count, 0);
}

#[test]
fn a_warm_standby_whose_service_does_not_run_is_not_able() {
    with_scripts("supervision::a_warm_standby");
}

#[test]
#[ignore = "run by a_warm_standby_whose_service_does_not_run_is_not_able"]
fn a_warm_standby() {
    let pair = pair(WARM);
    let folder = scripts(&pair);
    let a = active(&pair);
    let b = pair.start("ivr-b");
    until("it could take over", 20, || b.group().takeover.works);
    touch(&folder, "broken");
    dies(&folder, &[("state", "failed")]);
    let lacks = |why: &str| {
        let takeover = b.group().takeover;
        !takeover.works && takeover.because.contains(why)
    };
    until("it says why not", 20, || lacks("den.service is failed (exit code 7)"));
    until("it is barred there too", 20, || b.group().barred);
    fs::remove_file(folder.join("broken")).unwrap();
    until("it runs again", 90, || fs::read_to_string(folder.join("state")).unwrap() == "active");
    until("only the count is in the way", 20, || !lacks("den.service") && b.group().barred);
    ask(&b, Request::Cleanup { group: "ivr".into() });
    until("it could take over again", 20, || b.group().takeover.works);
    drop(a);
}

#[test]
fn a_cold_service_that_runs_on_a_standby_is_stopped_whenever_it_is_found() {
    with_scripts("supervision::a_stray");
}

#[test]
#[ignore = "run by a_cold_service_that_runs_on_a_standby_is_stopped_whenever_it_is_found"]
fn a_stray() {
    let mut pair = pair(COLD);
    pair.group = "failback = \"never\"".into();
    let folder = scripts(&pair);
    let a = active(&pair);
    ask(&a, Request::Standby { group: "ivr".into(), on: true });
    let b = pair.start("ivr-b");
    until("ivr-b is active", 30, || b.group().role == "active" && b.group().reached);
    until("ivr-a is not", 20, || a.group().role == "standby" && a.group().reached);
    drop(b);
    let stops = || count(&pair, "stop den.service");
    let before = stops();
    dies(&folder, &[("result", "success"), ("state", "active")]);
    until("it is stopped", 20, || stops() > before);
    until("it has stopped", 20, || fs::read_to_string(folder.join("state")).unwrap() == "inactive");
}

#[test]
fn hooks_run_around_the_service_and_read_why() {
    with_scripts("supervision::hooks_around");
}

#[test]
#[ignore = "run by hooks_run_around_the_service_and_read_why"]
fn hooks_around() {
    let tables = r#"
        [[group.hook]]
        on = "promote"
        when = "before"
        run = ["/bin/sh", "-c", "cat > $STANDIN_TEST_SCRIPTS/input; echo first >> $STANDIN_TEST_SCRIPTS/hooks"]
        [[group.hook]]
        on = "demote"
        when = "after"
        run = ["/bin/sh", "-c", "echo last >> $STANDIN_TEST_SCRIPTS/hooks"]
        [group.service]
        unit = "den.service"
        standby = "cold"
    "#;
    let pair = pair(tables);
    let folder = scripts(&pair);
    let mut a = active(&pair);
    let promotion = || pair.hooks().into_iter().skip_while(|it| it != "first").collect::<Vec<_>>();
    assert_eq!(promotion(), ["first", "start den.service", "ivr-a promote ivr"]);
    let input: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("input")).unwrap()).unwrap();
    for (key, value) in [("event", "promote"), ("when", "before"), ("group", "ivr"), ("node", "ivr-a")] {
        assert_eq!(input[key], value, "{input}");
    }
    assert_eq!(input["version"], 1);
    assert!(input["term"].as_u64() >= Some(1) && input["row"].as_u64() >= Some(1), "{input}");
    assert!(input["reason"].as_str().is_some_and(|it| it.len() > 10), "{input}");
    a.agent.as_ref().unwrap().stop();
    a.wait();
    assert_eq!(promotion()[3..], ["ivr-a demote ivr", "stop den.service", "last"]);
}

#[test]
fn a_promote_hook_that_counts_bars_the_node_and_is_tried_again() {
    with_scripts("supervision::a_hook_that_counts");
}

#[test]
#[ignore = "run by a_promote_hook_that_counts_bars_the_node_and_is_tried_again"]
fn a_hook_that_counts() {
    let tables = r#"
        [[group.hook]]
        on = "promote"
        when = "before"
        run = ["/bin/sh", "-c", "[ -e $STANDIN_TEST_SCRIPTS/mounted ] || { echo no disk; exit 1; }"]
        on-failure = "stop"
        [[group.hook]]
        on = "demote"
        when = "before"
        run = ["/bin/false"]
        on-failure = "stop"
        [[group.hook]]
        on = "demote"
        when = "before"
        run = ["/bin/sh", "-c", "echo never >> $STANDIN_TEST_SCRIPTS/hooks"]
        [group.service]
        unit = "den.service"
        standby = "cold"
    "#;
    let pair = pair(tables);
    let folder = scripts(&pair);
    let mut a = pair.start("ivr-a");
    until("it is barred", 20, || a.group().barred);
    let group = a.group();
    let why = "hook /bin/sh: the promote hook /bin/sh failed (exit status: 1); it said: no disk";
    assert!(group.failing.iter().any(|it| it == why), "{:?}", group.failing);
    assert!(!pair.hooks().iter().any(|it| it == "start den.service" || it == "ivr-a promote ivr"));
    touch(&folder, "mounted");
    until("it is tried again, and the rest follows", 60, || a.group().role == "active" && a.group().reached);
    assert_eq!(
        pair.hooks().iter().rev().take(2).collect::<Vec<_>>(),
        ["ivr-a promote ivr", "start den.service"]
    );
    a.agent.as_ref().unwrap().stop();
    // A demote hook that fails keeps nobody from standing by.
    a.wait();
    assert_eq!(fs::read_to_string(folder.join("state")).unwrap(), "inactive");
    assert_eq!(count(&pair, "never"), 0);
}

#[test]
fn a_service_of_commands_is_started_watched_and_stopped() {
    let tables = r#"
        [group.service]
        start = ["/bin/sh", "-c", "echo start >> $DEN/hooks; touch $DEN/up"]
        stop = ["/bin/sh", "-c", "echo stop >> $DEN/hooks; rm -f $DEN/up"]
        status = ["/bin/sh", "-c", "[ ! -e $DEN/dead ] || { echo dead; exit 1; }; [ -e $DEN/up ] || exit 3"]
        status-every = "100ms"
        standby = "cold"
    "#;
    let pair = pair("");
    let place = pair.folder.path().display().to_string();
    let pair = Pair { tables: tables.replace("$DEN", &place).leak(), ..pair };
    let up = pair.folder.path().join("up");
    let mut a = active(&pair);
    assert!(up.exists());
    fs::remove_file(&up).unwrap();
    until("it is started again", 20, || up.exists() && a.group().fail_count == 1);
    assert!(said(&a.group(), "service: /bin/sh failed (it has stopped) ", "1 of 3 before it is barred"));
    touch(pair.folder.path(), "dead");
    until("its failure is counted, and its start is no better", 20, || a.group().fail_count >= 3);
    until("it says why", 20, || a.group().failing.iter().any(|it| it.contains("it said: dead")));
    fs::remove_file(pair.folder.path().join("dead")).unwrap();
    a.agent.as_ref().unwrap().stop();
    a.wait();
    assert!(!up.exists());
}
