//! The guard's process against real processes in a real cgroup, with an agent's side that is killed, frozen,
//! or keeps prolonging. No systemd: a `systemctl` of the test's own writes down what it is told (with real
//! systemd: tests/lab/guard). It takes root, for the cgroup; elsewhere each test says that it did not run.

#![allow(clippy::print_stdout, reason = "what was not tested is said")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use standin::agent::clock;
use standin::agent::guard::{self, Answer, Ask, Client, GuardError, Order, nanos};
use standin::cluster::Time;
use standin::service::cgroup::Cgroup;
use standin::service::systemd::Unit;
use tempfile::TempDir;

/// How far ahead the agent's side sets the deadline, each time anew.
const AHEAD: Duration = Duration::from_millis(600);
/// How often it does so.
const EVERY: Duration = Duration::from_millis(50);
/// Whatever is waited for comes sooner, also on a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);
const UNIT: &str = "den.service";

/// A cgroup with processes in it, a guard, and a place for their files.
struct Den {
    folder: TempDir,
    slice: PathBuf,
    cgroup: Cgroup,
    sleepers: Vec<Child>,
    guard: Option<Child>,
}

impl Den {
    /// In the hierarchy in which systemd would be. `None`: there can be no cgroup here, which is said.
    fn new() -> Option<Self> {
        Self::at(hierarchies().first()?)
    }

    fn at(root: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("standin-test-{}-{number}.slice", std::process::id());
        let slice = Path::new(root).join(&name);
        if let Err(error) = fs::create_dir_all(slice.join(UNIT)) {
            println!("SKIPPED: no cgroup can be made in {root} ({error}), so the guard was NOT tested");
            return None;
        }
        let cgroup = Cgroup::of_unit(UNIT, &format!("/{name}/{UNIT}")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let systemctl = folder.path().join("systemctl");
        fs::write(&systemctl, "#!/bin/sh\necho \"$*\" >> \"${0%/*}/told\"\n[ -e \"${0%/*}/works\" ]\n")
            .unwrap();
        fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("works"), "").unwrap();
        Some(Self { folder, slice, cgroup, sleepers: Vec::new(), guard: None })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("run/agent.guard")
    }

    /// Puts a process into the cgroup, or into one below it.
    fn sleeper(&mut self, below: &str) {
        let folder = self.slice.join(UNIT).join(below);
        fs::create_dir_all(&folder).unwrap();
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        fs::write(folder.join("cgroup.procs"), child.id().to_string()).unwrap();
        self.sleepers.push(child);
    }

    fn start_guard(&mut self) -> &mut Child {
        fs::create_dir_all(self.path("run")).unwrap();
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let guard = Command::new(env!("CARGO_BIN_EXE_standin"))
            .args(["guard", "--socket"])
            .arg(self.socket())
            .arg("--state")
            .arg(self.path("state.json"))
            .env("PATH", path)
            .stderr(fs::File::create(self.path("log")).unwrap())
            .spawn();
        self.guard.insert(guard.unwrap())
    }

    /// An agent's side in a process of its own: it prolongs until it is hindered.
    fn start_agents_side(&self) -> Killed {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_agents_side", "--ignored", "--nocapture"])
            .env("STANDIN_TEST_SOCKET", self.socket())
            .env("STANDIN_TEST_CGROUP", self.cgroup.path())
            .env("STANDIN_TEST_UNTIL", self.path("until"))
            .stdout(Stdio::null())
            .spawn();
        Killed(child.unwrap())
    }

    fn order(&self, until: Option<Time>) -> Order {
        order(self.cgroup.path(), until)
    }

    /// The deadline that the guard has confirmed last.
    fn until(&self) -> Option<u64> {
        fs::read_to_string(self.path("until")).ok()?.parse().ok()
    }

    fn alive(&self) -> usize {
        self.cgroup.processes().unwrap()
    }

    /// Waits until the service is dead, and compares with the deadline.
    fn dies_after_its_deadline(&self, client: &Line) {
        wait_for("the end of the service", || self.alive() == 0);
        let seen_dead = nanos(clock::now());
        let until = self.until().unwrap();
        assert!(seen_dead >= until, "dead at {seen_dead}, and could have lived until {until}");
        let answer = client.ask(Ask::Look).unwrap();
        let watched = &answer.watched[0];
        let fired_at = watched.fired_at.unwrap();
        assert!(fired_at >= watched.until && watched.until == until, "{watched:?}");
        assert!(fired_at - until < nanos(Time::ZERO + PATIENCE), "{watched:?}");
        assert_eq!((watched.killed >= self.sleepers.len(), &watched.trouble), (true, &None), "{watched:?}");
        wait_for("systemd to be told", || {
            fs::read_to_string(self.path("told"))
                .is_ok_and(|it| it == "stop --no-block --quiet -- den.service\n")
        });
    }
}

impl Drop for Den {
    fn drop(&mut self) {
        self.sleepers.drain(..).chain(self.guard.take()).map(Killed).for_each(drop);
        let mut folders = vec![self.slice.clone(), self.slice.join(UNIT)];
        folders
            .extend(fs::read_dir(self.slice.join(UNIT)).into_iter().flatten().flatten().map(|it| it.path()));
        // The innermost first; its files are the kernel's, and go with it.
        for folder in folders.iter().rev() {
            let _removed = fs::remove_dir(folder);
        }
    }
}

/// A process that is killed when this goes.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Where a unit's processes can be: v2 alone, or v1 and perhaps v2 beside it. v1 has no cgroup.kill.
fn hierarchies() -> Vec<&'static str> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return vec!["/sys/fs/cgroup"];
    }
    let beside = Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists();
    let mut all = vec!["/sys/fs/cgroup/systemd"];
    all.extend(beside.then_some("/sys/fs/cgroup/unified"));
    all
}

/// The real client, for tests that are not asynchronous.
struct Line {
    runtime: tokio::runtime::Runtime,
    client: std::cell::RefCell<Client>,
}

impl Line {
    fn new(socket: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: Client::new(socket).into() }
    }

    fn ask(&self, ask: Ask) -> Result<Answer, GuardError> {
        self.runtime.block_on(self.client.borrow_mut().ask(ask))
    }

    /// To a guard that has just been started.
    fn open(socket: &Path) -> Self {
        let line = Self::new(socket);
        wait_for("the guard's answer", || line.ask(Ask::Look).is_ok());
        line
    }
}

fn order(cgroup: &str, until: Option<Time>) -> Order {
    Order { group: "den".into(), unit: UNIT.into(), cgroup: cgroup.into(), until: until.map(nanos) }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = clock::now();
    while !there() {
        assert!(clock::now().since(start) < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_millis(2));
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_for("the end of a process", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn the_agents_side() {
    let of = |name: &str| std::env::var(format!("STANDIN_TEST_{name}")).unwrap();
    let (cgroup, file) = (of("CGROUP"), of("UNTIL"));
    let line = Line::open(Path::new(&of("SOCKET")));
    loop {
        let until = clock::now() + AHEAD;
        // Before the guard has it: whoever stops this process must not find an older one here.
        fs::write(format!("{file}.new"), nanos(until).to_string()).unwrap();
        line.ask(Ask::Guard(order(&cgroup, Some(until)))).unwrap();
        fs::rename(format!("{file}.new"), &file).unwrap();
        sleep(EVERY);
    }
}

/// In tests/lab/guard: real systemd, which starts guard and service, and a lease of 5 s that is renewed every
/// second. The lease itself is not real; the rest is what the agent does.
#[test]
#[ignore = "run by tests/lab/guard, in an instance with systemd"]
fn the_agents_side_in_the_lab() {
    let lease = Duration::from_secs(5);
    let socket = Path::new("/run/standin/standin.guard");
    fs::create_dir_all("/run/standin").unwrap();
    let (line, unit) = (Line::new(socket), Unit::new(UNIT));
    if let Err(error) = line.ask(Ask::Look) {
        println!("{error}");
        let program = Path::new("/lab/standin");
        let mut client = line.client.borrow_mut();
        let started = guard::start(program, "standin-guard.service", &mut client);
        println!("started {:?}", line.runtime.block_on(started).unwrap());
    }
    let mut serving = false;
    loop {
        let until = clock::now() + lease * 4 / 5;
        let cgroup = line.runtime.block_on(unit.show()).unwrap().1.cgroup;
        // After a kill the guard asks for patience until systemd knows.
        wait_for("the guard's consent", || line.ask(Ask::Guard(order(cgroup.path(), Some(until)))).is_ok());
        fs::write("/run/until.new", nanos(until).to_string()).unwrap();
        fs::rename("/run/until.new", "/run/until").unwrap();
        if !serving {
            line.runtime.block_on(unit.start(PATIENCE)).unwrap();
            serving = true;
        }
        sleep(lease / 5);
    }
}

/// An agent's side that has prolonged for several times as long as one deadline is ahead.
fn den_with_a_living_agent() -> Option<(Den, Killed, Line)> {
    let mut den = Den::new()?;
    den.sleeper("");
    den.sleeper("");
    den.start_guard();
    let line = Line::open(&den.socket());
    let agent = den.start_agents_side();
    wait_for("the first deadline", || den.until().is_some());
    let first = den.until().unwrap();
    wait_for("it to be prolonged", || den.until().unwrap() > first + 3 * nanos(Time::ZERO + AHEAD));
    assert_eq!(den.alive(), 2, "it is prolonged, and has died all the same");
    Some((den, agent, line))
}

#[test]
fn a_killed_agent_does_not_leave_its_service_running() {
    let Some((den, agent, line)) = den_with_a_living_agent() else { return };
    drop(agent);
    settle_until(&den, &line);
    den.dies_after_its_deadline(&line);
}

#[test]
fn a_frozen_agent_does_not_leave_its_service_running() {
    let Some((den, agent, line)) = den_with_a_living_agent() else { return };
    send(&agent.0, Signal::STOP);
    let stat = format!("/proc/{}/stat", agent.0.id());
    wait_for("it to be frozen", || fs::read_to_string(&stat).unwrap().contains(") T "));
    settle_until(&den, &line);
    den.dies_after_its_deadline(&line);
}

/// The agent's side may have been stopped after the guard had the deadline, and before that was written down.
fn settle_until(den: &Den, line: &Line) {
    let watched = line.ask(Ask::Look).unwrap().watched;
    fs::write(den.path("until"), watched[0].until.to_string()).unwrap();
}

#[test]
fn what_is_below_the_cgroup_and_what_starts_there_later_dies_too() {
    for root in hierarchies() {
        all_that_is_there_dies(root);
    }
}

fn all_that_is_there_dies(root: &str) {
    let Some(mut den) = Den::at(root) else { return };
    den.sleeper("");
    den.sleeper("below");
    den.start_guard();
    let line = Line::open(&den.socket());
    // A deadline that is over already; and a systemd that does not take it at first.
    fs::remove_file(den.path("works")).unwrap();
    line.ask(Ask::Guard(den.order(Some(clock::now())))).unwrap();
    wait_for("both to be killed", || den.alive() == 0);
    wait_for("a second try with systemd", || {
        fs::read_to_string(den.path("told")).is_ok_and(|it| it.lines().count() >= 2)
    });
    let watched = &line.ask(Ask::Look).unwrap().watched[0];
    assert!(
        watched.trouble.as_ref().is_some_and(|it| it.contains("systemctl stop: exit status: 1")),
        "{watched:?}"
    );
    fs::write(den.path("works"), "").unwrap();
    den.sleeper("");
    wait_for("what has started later to be killed", || den.alive() == 0);
    // An agent says otherwise.
    wait_for("systemd to have taken it", || line.ask(Ask::Guard(den.order(None))).is_ok());
    assert!(line.ask(Ask::Look).unwrap().watched.is_empty());
    den.sleeper("");
    let log = fs::read_to_string(den.path("log")).unwrap();
    assert!(log.contains("the time of group den is over") && log.contains("den.service is killed"), "{log}");
    sleep(Duration::from_millis(300));
    assert_eq!(den.alive(), 1, "nobody guards it any more");
}

#[test]
fn a_service_that_has_stopped_is_not_guarded() {
    let Some(mut den) = Den::new() else { return };
    den.sleeper("");
    den.start_guard();
    let line = Line::open(&den.socket());
    let until = clock::now() + AHEAD;
    let answer = line.ask(Ask::Guard(den.order(Some(until)))).unwrap();
    assert_eq!((answer.watched[0].until, answer.watched[0].fired_at), (nanos(until), None));
    assert!(line.ask(Ask::End).unwrap_err().to_string().contains("it guards something"));
    line.ask(Ask::Guard(den.order(None))).unwrap();
    sleep(AHEAD * 2);
    assert_eq!(den.alive(), 1);
    line.ask(Ask::End).unwrap();
    let mut guard = den.guard.take().unwrap();
    assert!(ended(&mut guard).success());
    assert!(!den.socket().exists());
}

#[test]
fn it_kills_no_cgroup_but_that_of_the_unit() {
    let Some(mut den) = Den::new() else { return };
    den.sleeper("");
    den.start_guard();
    let line = Line::open(&den.socket());
    let past = Some(clock::now());
    for bad in ["/", "", "/system.slice", "/../den.service", "den.service"] {
        let refused = line.ask(Ask::Guard(order(bad, past))).unwrap_err().to_string();
        assert!(refused.contains("is not the cgroup of den.service"), "{bad}: {refused}");
    }
    // The guard itself is put into it: it must not kill itself, and with it the promise.
    let guard = den.guard.as_ref().unwrap().id().to_string();
    fs::write(den.slice.join(UNIT).join("cgroup.procs"), guard).unwrap();
    let refused = line.ask(Ask::Guard(den.order(past))).unwrap_err().to_string();
    assert!(refused.contains("this process is itself in"), "{refused}");
    assert_eq!(den.alive(), 2);
}

#[test]
fn a_later_agent_finds_the_guard_and_what_it_was_told() {
    let Some(mut den) = Den::new() else { return };
    den.sleeper("");
    den.start_guard();
    let first = Line::open(&den.socket());
    let until = clock::now() + PATIENCE;
    let pid = first.ask(Ask::Guard(den.order(Some(until)))).unwrap().pid;
    drop(first);
    let second = Line::new(&den.socket()).ask(Ask::Look).unwrap();
    assert_eq!((second.pid, second.watched[0].until), (pid, nanos(until)));
    // Only one guard at a socket: another would guard nothing, and be believed.
    let mut other = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["guard", "--socket"])
        .arg(den.socket())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(!ended(&mut other).success());
    // systemd clears the folder of a unit away when that ends.
    fs::remove_dir_all(den.path("run")).unwrap();
    let third = Line::open(&den.socket());
    let answer = third.ask(Ask::Look).unwrap();
    assert_eq!((answer.pid, answer.watched[0].until), (pid, nanos(until)));
    let mode = fs::metadata(den.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else speaks to it: {mode:o}");
}

#[test]
fn a_guard_that_is_killed_with_its_agent_is_followed_by_one_that_knows() {
    let Some((mut den, agent, line)) = den_with_a_living_agent() else { return };
    // What `pkill -9 standin` does. systemd starts another guard then; here the test does.
    drop(agent);
    settle_until(&den, &line);
    drop(den.guard.take().map(Killed));
    den.start_guard();
    let line = Line::open(&den.socket());
    den.dies_after_its_deadline(&line);
    assert!(
        fs::read_to_string(den.path("log")).unwrap().contains("goes on guarding den.service for group den")
    );
}
