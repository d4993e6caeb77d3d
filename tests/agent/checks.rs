//! Checks, and what they do to a pair: real sockets and programs, two agents.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use standin::control::protocol::Check;

use crate::pair::{Member, Pair, settled, until};
use crate::service::{scripts, with_scripts};

/// Runs often, so that the tests do not wait; two in a row are a failure.
const OFTEN: &str = "every = \"100ms\"\ntimeout = \"100ms\"\nfall = 2\n";

fn check(of: &Member) -> Check {
    of.group().checks.remove(0)
}

/// A witness that can be lost: a listener, and its address to come back at. Each node has its own, for a test of
/// who has lost it; on EC2 it is one gateway that one node reaches and another does not.
struct Witness(Option<TcpListener>, SocketAddr);

impl Witness {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        Self(Some(listener), at)
    }

    fn lost(&mut self) {
        self.0 = None;
    }

    fn back(&mut self) {
        self.0 = Some(TcpListener::bind(self.1).unwrap());
    }
}

/// A pair with a witness each.
fn witnessed() -> (Pair, Witness, Witness) {
    let mut pair = Pair::new();
    let (a, b) = (Witness::new(), Witness::new());
    pair.tables = "[[group.check]]\nname = \"gateway\"\ntcp = \"OWN\"\nevery = \"100ms\"\ntimeout = \"100ms\"\nfall = 2\n";
    pair.own = vec![("ivr-a", a.1.to_string()), ("ivr-b", b.1.to_string())];
    (pair, a, b)
}

#[test]
fn a_witness_that_only_the_active_has_lost_moves_the_group() {
    let (pair, mut of_a, _of_b) = witnessed();
    let (a, b) = settled(&pair);
    until("both have it", 10, || check(&a).state == "ok" && check(&b).state == "ok");
    assert_eq!((check(&a).kind.as_str(), check(&a).on_fail.as_str()), ("tcp", "move"));
    of_a.lost();
    until("ivr-b has all", 10, || pair.all_with("ivr-b") && b.group().role == "active");
    assert_eq!(b.group().row, 11, "by an offer: nothing had stopped");
    until("ivr-a stands by, and says why it cannot take over", 10, || {
        let takeover = a.group().takeover;
        a.group().role == "standby" && takeover.because.contains("check gateway: Connection refused")
    });
    assert!(!b.group().takeover.works, "and ivr-b knows");
    of_a.back();
    until("ivr-a could take it again", 10, || a.group().takeover.works && b.group().takeover.works);
    std::thread::sleep(Duration::from_millis(500));
    assert!(pair.all_with("ivr-b") && b.group().role == "active", "it stays where it is");
}

#[test]
fn a_witness_that_both_have_lost_moves_nothing() {
    let (pair, mut of_a, mut of_b) = witnessed();
    let (a, b) = settled(&pair);
    until("both have it", 10, || check(&a).state == "ok" && check(&b).state == "ok");
    of_a.lost();
    of_b.lost();
    until("both say so", 10, || check(&a).state == "failed" && check(&b).state == "failed");
    until("ivr-a is not fit, for long enough", 10, || !a.group().fit && check(&a).fails > 8);
    assert!(pair.all_with("ivr-a") && a.group().role == "active" && b.group().role == "standby");
    let problems = a.status().problems;
    let said = "ivr: check gateway has failed: Connection refused (os error 111)";
    assert_eq!(problems.iter().filter(|it| it.contains("gateway")).collect::<Vec<_>>(), [said]);
    assert!(!problems.iter().any(|it| it.contains("the service has failed")), "{problems:?}");
    let problems = b.status().problems;
    assert_eq!(problems.iter().filter(|it| it.contains("gateway")).count(), 1, "not twice: {problems:?}");
    of_b.back();
    until("it is better there", 10, || pair.all_with("ivr-b") && b.group().role == "active");
    of_a.back();
    until("all is well with the checks", 10, || check(&a).state == "ok" && a.group().takeover.works);
}

/// Exits with the code that stands in a file of the node's own, 0 if there is none.
fn by_code(pair: &mut Pair, more: &str) -> impl Fn(&str, &str) + use<> {
    let folder: PathBuf = pair.folder.path().to_owned();
    let script = format!("exit $(cat {}/$STANDIN_NODE.code 2>/dev/null || echo 0)", folder.display());
    let table = format!(
        "[[group.check]]\nname = \"code\"\ncommand = [\"/bin/sh\", \"-c\", \"{script}\"]\n{OFTEN}{more}\n"
    );
    pair.tables = table.leak();
    move |node, code| std::fs::write(folder.join(format!("{node}.code")), code).unwrap()
}

#[test]
fn what_is_unknown_moves_nothing_and_is_said() {
    let mut pair = Pair::new();
    let code = by_code(&mut pair, "on-fail = \"move\"");
    let (a, b) = settled(&pair);
    until("it is well", 10, || check(&a).state == "ok" && check(&b).state == "ok");
    code("ivr-a", "127");
    until("it is unknown", 10, || check(&a).state == "unknown");
    std::thread::sleep(Duration::from_secs(1));
    assert!(a.group().fit && a.group().role == "active" && pair.all_with("ivr-a"));
    let said = "ivr: check code cannot be made: it failed (exit status: 127)";
    assert!(a.status().problems.iter().any(|it| it == said), "{:?}", a.status().problems);
    code("ivr-b", "127");
    until("there too", 10, || check(&b).state == "unknown");
    assert!(b.group().takeover.works, "an unknown check keeps nobody from taking over");
}

#[test]
fn degraded_is_shown_and_a_failure_that_is_only_reported_is_only_shown() {
    let mut pair = Pair::new();
    let code = by_code(&mut pair, "on-fail = \"report\"");
    let (a, b) = settled(&pair);
    until("it is well", 10, || check(&a).state == "ok");
    code("ivr-a", "190");
    let said = "ivr: check code is degraded: it says that it is degraded (190)";
    until("it is degraded", 10, || a.status().problems.iter().any(|it| it == said));
    for node in ["ivr-a", "ivr-b"] {
        code(node, "7");
    }
    until("it has failed", 10, || check(&a).state == "failed" && check(&b).state == "failed");
    std::thread::sleep(Duration::from_millis(500));
    assert!(a.group().fit && a.group().role == "active" && b.group().takeover.works);
}

#[test]
fn a_standby_that_would_fail_is_not_asked_and_says_why() {
    let mut pair = Pair::new();
    let code = by_code(&mut pair, "on-fail = \"move\"");
    let (mut a, b) = settled(&pair);
    until("it is well", 10, || check(&b).state == "ok");
    code("ivr-b", "1");
    until("ivr-b is not able", 10, || {
        let takeover = b.group().takeover;
        !takeover.works && takeover.because.starts_with("check code: it failed (exit status: 1)")
    });
    until("ivr-a knows", 10, || !a.group().takeover.works);
    code("ivr-a", "1");
    until("ivr-a is not fit either", 10, || !a.group().fit);
    std::thread::sleep(Duration::from_secs(1));
    assert!(pair.all_with("ivr-a") && a.group().role == "active", "and nobody is better");
    a.kill();
    until("ivr-a is lost", 10, || b.node("ivr-a").state == "lost");
    std::thread::sleep(Duration::from_secs(1));
    assert!(pair.all_with("ivr-a"), "ivr-b would serve no better");
    code("ivr-b", "0");
    until("ivr-b takes over once it can", 10, || pair.all_with("ivr-b"));
}

#[test]
fn a_check_of_the_active_node_runs_there_only_and_its_failure_is_remembered() {
    let mut pair = Pair::new();
    let code = by_code(&mut pair, "on-fail = \"move\"\nwhen = \"active\"");
    let (a, b) = settled(&pair);
    until("it is well where it runs", 10, || check(&a).state == "ok");
    assert_eq!((check(&b).state.as_str(), check(&b).age_ms), ("not now", None));
    code("ivr-a", "1");
    until("ivr-b has all", 10, || pair.all_with("ivr-b") && b.group().role == "active");
    until("it runs there now", 10, || check(&b).state == "ok" && check(&a).state == "not now");
    let why = a.group().takeover.because;
    assert!(why.starts_with("check code had failed when this node was last active"), "{why}");
}

#[test]
fn a_check_that_fails_restarts_the_service_and_counts_until_it_is_barred() {
    with_scripts("checks::a_failing_check");
}

#[test]
#[ignore = "run by a_check_that_fails_restarts_the_service_and_counts_until_it_is_barred"]
fn a_failing_check() {
    let mut pair = Pair::new();
    let code = by_code(&mut pair, "[group.service]\nunit = \"den.service\"\nstart-timeout = \"1s\"");
    scripts(&pair);
    let a = pair.start("ivr-a");
    until("it is well and active", 20, || {
        a.group().role == "active" && a.group().reached && check(&a).state == "ok"
    });
    assert_eq!(check(&a).on_fail, "restart");
    let starts = || pair.hooks().iter().filter(|it| *it == "start den.service").count();
    let before = starts();
    code("ivr-a", "7");
    until("its service is restarted", 20, || starts() == before + 1 && a.group().fail_count == 1);
    assert!(pair.hooks().contains(&"stop den.service".to_owned()), "{:?}", pair.hooks());
    code("ivr-a", "0");
    until("it is well again", 20, || check(&a).state == "ok");
    assert_eq!((starts(), a.group().fail_count, a.group().fit), (before + 1, 1, true));
    code("ivr-a", "7");
    until("it is barred at the third", 30, || a.group().barred && a.group().fail_count == 3);
    assert_eq!(check(&a).state, "failed");
}

#[test]
fn a_unit_that_stops_is_known_by_systemds_own_word() {
    with_scripts("checks::another_unit");
}

#[test]
#[ignore = "run by a_unit_that_stops_is_known_by_systemds_own_word"]
fn another_unit() {
    let mut pair = Pair::new();
    // Both nodes of this test have one systemd, so that nothing is to move.
    pair.tables = "[[group.check]]\nsystemd = \"den.service\"\non-fail = \"report\"\n";
    let folder = scripts(&pair);
    let state = |word: &str| std::fs::write(folder.join("state"), word).unwrap();
    state("active");
    let (a, b) = settled(&pair);
    until("it runs", 10, || check(&a).state == "ok" && check(&b).state == "ok");
    state("activating");
    until("nobody can say", 10, || check(&a).state == "unknown");
    state("failed");
    until("it has failed", 10, || check(&a).state == "failed" && check(&b).state == "failed");
    state("active");
    until("it runs again", 10, || check(&a).state == "ok" && check(&b).state == "ok");
}
