//! A stage with two nodes, and what a test asks of it.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use standin::cli::demo::stage::{NODES, Plan, Stage};
use standin::control::protocol::{Group, Status};
use standin::sandbox::model::{FaultKind, FaultSpec, Request, Service};
use tokio::net::{TcpListener, TcpStream};

/// The node that holds everything at first.
pub(crate) const A: usize = 0;
/// The other one.
pub(crate) const B: usize = 1;

/// How long anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Two nodes; no agent runs at first.
pub(crate) struct Pair {
    pub(crate) stage: Stage,
}

impl Pair {
    /// With timers that are quick and yet stand a busy machine.
    pub(crate) async fn new() -> Self {
        Self::with_dead_after(Duration::from_millis(1500)).await
    }

    pub(crate) async fn with_dead_after(dead_after: Duration) -> Self {
        let interval = Duration::from_millis(100);
        let plan = Plan { interval, dead_after, api_delay: Duration::ZERO };
        let stage = Stage::set(plan, env!("CARGO_BIN_EXE_standin").into()).await.unwrap();
        let pair = Self { stage };
        let hooks = pair.stage.folder().join("hooks").display().to_string();
        for node in [A, B] {
            pair.edit(node, |text| {
                let hook = |on| {
                    let run = format!(r#"["/bin/sh", "-c", "echo {on} $STANDIN_NODE >> {hooks}"]"#);
                    format!("[[group.hook]]\non = \"{on}\"\nrun = {run}\n")
                };
                let timers = "[heartbeat]\nfirst-dead-after = \"6s\"\n";
                text.replace("[heartbeat]\n", timers) + &hook("promote") + &hook("demote")
            });
        }
        pair
    }

    /// Both run, and A is active.
    pub(crate) async fn ready() -> Self {
        let mut pair = Self::new().await;
        pair.start_both().await;
        pair
    }

    pub(crate) async fn start_both(&mut self) {
        self.start(A);
        self.start(B);
        self.stage.ready(A).await.unwrap();
    }

    pub(crate) fn start(&mut self, node: usize) {
        self.stage.start(node).unwrap();
    }

    /// Changes a node's configuration, for its next start.
    pub(crate) fn edit(&self, node: usize, change: impl Fn(String) -> String) {
        let path = self.stage.config(node);
        let before = std::fs::read_to_string(&path).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "the change of the configuration has no effect");
        std::fs::write(path, after).unwrap();
    }

    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        self.stage.signal(node, signal).unwrap();
    }

    pub(crate) async fn kill(&mut self, node: usize) {
        self.signal(node, Signal::KILL);
        self.end(node).await;
    }

    /// Waits for the process's end.
    pub(crate) async fn end(&mut self, node: usize) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(end) = self.stage.end(node).unwrap() {
                return end;
            }
            assert!(Instant::now() < deadline, "{} does not end", NODES[node]);
            pause().await;
        }
    }

    /// Starts an agent that is expected to give up: its exit code, and what it wrote to its log.
    pub(crate) async fn start_in_vain(&mut self, node: usize) -> (Option<i32>, String) {
        self.start(node);
        let end = self.end(node).await;
        (end.code(), self.log(node))
    }

    pub(crate) fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.stage.log(node)).unwrap_or_default()
    }

    /// Lines of a node's log with this id.
    pub(crate) fn said(&self, node: usize, id: &str) -> usize {
        let id = format!("\"id\":\"{id}\"");
        self.log(node).lines().filter(|line| line.contains(&id)).count()
    }

    /// How often a hook ran: "promote ivr-a".
    pub(crate) fn hooks(&self, line: &str) -> usize {
        let text = std::fs::read_to_string(self.stage.folder().join("hooks")).unwrap_or_default();
        text.lines().filter(|it| *it == line).count()
    }

    pub(crate) async fn status(&self, node: usize) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.stage.status(node).await {
                Ok(status) => return status,
                Err(error) => assert!(Instant::now() < deadline, "{}: {error:#}", NODES[node]),
            }
            pause().await;
        }
    }

    pub(crate) async fn group(&self, node: usize) -> Group {
        self.status(node).await.groups.swap_remove(0)
    }

    /// Waits until the node's status is so.
    pub(crate) async fn until(&self, what: &str, node: usize, is: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status(node).await;
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < deadline, "{} never: {what}: {status:#?}", NODES[node]);
            pause().await;
        }
    }

    /// Waits until the node is active and EC2 has everything there.
    pub(crate) async fn until_active(&self, node: usize) {
        self.until_moved("everything moves", |it| it.iter().all(|(_, holder)| holder == NODES[node])).await;
        self.until("active, and done", node, |it| it.groups[0].role == "active" && it.groups[0].reached)
            .await;
    }

    /// Waits until EC2's truth is so.
    pub(crate) async fn until_moved(&self, what: &str, is: impl Fn(&[(String, String)]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(&self.stage.holders()) {
            assert!(Instant::now() < deadline, "never: {what}: {:#?}", self.stage.holders());
            pause().await;
        }
    }

    /// Waits until a problem of the node's status has all these words.
    pub(crate) async fn until_told(&self, node: usize, words: &[&str]) -> String {
        let has = |problem: &&String| words.iter().all(|word| problem.contains(word));
        let what = format!("a problem with {words:?}");
        let status = self.until(&what, node, |it| it.problems.iter().any(|it| has(&it))).await;
        status.problems.iter().find(has).unwrap().clone()
    }

    /// Looks for a while: nothing may move in EC2 since `seq`, and the other things stay as they are.
    pub(crate) async fn nothing_moves(&self, seq: u64, during: Duration) {
        let end = Instant::now() + during;
        while Instant::now() < end {
            let moves = self.stage.moves_since(seq);
            assert!(moves.is_empty(), "moved: {moves:?}");
            pause().await;
        }
    }

    /// A fault for one node's calls (or everyone's) of one action (or every one), for so many calls.
    pub(crate) fn fault(&self, kind: FaultKind, caller: Option<usize>, action: Option<&str>) {
        self.add(FaultSpec {
            action: action.map(str::to_owned),
            caller: caller.map(|it| NODES[it].to_owned()),
            ..FaultSpec::new(kind)
        });
    }

    /// The same, of instance metadata.
    pub(crate) fn imds_fault(&self, kind: FaultKind, caller: usize, path: Option<&str>) {
        self.add(FaultSpec {
            service: Service::Imds,
            action: path.map(str::to_owned),
            caller: Some(NODES[caller].to_owned()),
            ..FaultSpec::new(kind)
        });
    }

    pub(crate) fn add(&self, fault: FaultSpec) {
        let sandbox = self.stage.sandbox();
        let now = sandbox.now();
        sandbox.with_faults(|faults| faults.add(fault, now));
    }

    /// How many calls the faults in force have met.
    pub(crate) fn met(&self) -> u64 {
        self.stage.sandbox().with_faults(|faults| faults.list().iter().map(|it| it.met).sum())
    }

    pub(crate) fn heal(&self) {
        self.stage.sandbox().with_faults(|faults| faults.clear());
    }

    /// What somebody else does in EC2.
    pub(crate) fn order(&self, request: &Request) {
        let sandbox = self.stage.sandbox();
        let now = sandbox.now();
        sandbox.with_vpc(|vpc| vpc.order("somebody", request, now)).unwrap();
    }

    /// A node's first interface.
    pub(crate) fn interface(&self, node: usize) -> String {
        self.stage.sandbox().instances[node].interfaces[0].id.clone()
    }

    /// The holder of the resource whose description begins so.
    pub(crate) fn holder(&self, resource: &str) -> String {
        holder(&self.stage.holders(), resource).to_owned()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let panicked: Vec<_> =
            [A, B].into_iter().filter(|node| self.log(*node).contains("panicked at")).collect();
        if std::thread::panicking() || !panicked.is_empty() {
            for node in [A, B] {
                let log = self.log(node);
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(40)..].join("\n");
                eprintln!("--- the last lines of {}:\n{last}", NODES[node]);
            }
        }
        assert!(std::thread::panicking() || panicked.is_empty(), "an agent panicked");
    }
}

/// The holder of the resource whose description begins so.
pub(crate) fn holder<'a>(holders: &'a [(String, String)], resource: &str) -> &'a str {
    &holders.iter().find(|(name, _)| name.contains(resource)).unwrap().1
}

pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// A TCP port where nobody listens until somebody is wanted there.
pub(crate) struct Door {
    pub(crate) url: String,
    address: SocketAddr,
    to: SocketAddr,
}

impl Door {
    /// Closed, in front of `url` (http://ADDRESS).
    pub(crate) fn before(url: &str) -> Self {
        let to: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { url: format!("http://{address}"), address, to }
    }

    /// Opens it, for good.
    pub(crate) async fn open(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let to = self.to;
        tokio::spawn(async move {
            while let Ok((mut here, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut there = TcpStream::connect(to).await?;
                    tokio::io::copy_bidirectional(&mut here, &mut there).await
                });
            }
        });
    }
}

/// Runs the binary to its end: exit code, standard output, standard error.
pub(crate) fn standin(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(args)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let code = child.wait().unwrap().code();
    (code, out, errors.join().unwrap())
}
