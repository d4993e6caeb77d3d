//! The stage: a sandbox, and two agents as processes of their own on loopback addresses. What happens on it
//! is measured from outside: the sandbox's log of changes, the agents' logs, a file that a hook leaves.

mod files;

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::agent::clock;
use crate::cluster::Time;
use crate::control::client;
use crate::control::protocol::{Request, Response, Status};
use crate::sandbox::model::{Change, Destination, FaultKind, FaultSpec, Holder, Subject};
use crate::sandbox::{Options, Running, Spec, serve};

pub use files::free_port;

/// The two nodes, by their places.
pub const NODES: [&str; 2] = ["ivr-a", "ivr-b"];
/// The moving private address of the sandbox's pair.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 100);
const DESTINATIONS: [&str; 2] = ["10.99.0.0/24", "10.99.1.0/24"];

/// What is to be staged.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Between two heartbeats.
    pub interval: Duration,
    /// Silence after which a node is lost.
    pub dead_after: Duration,
    /// Added to each call to EC2.
    pub api_delay: Duration,
}

/// Something changed hands in EC2.
#[derive(Clone, Copy, Debug)]
pub struct Move {
    /// When.
    pub at: Time,
    /// Whether it is the anchor.
    pub anchor: bool,
    /// To which node; `None`: to nobody.
    pub to: Option<&'static str>,
}

/// The stage. Dropping it ends every process and removes every file.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    sandbox: Running,
    agents: [Option<Child>; 2],
    program: PathBuf,
    port: u16,
    environment: [Vec<(String, String)>; 2],
}

/// The stages of one process, counted: each has a folder of its own.
static STAGES: AtomicU32 = AtomicU32::new(0);

impl Stage {
    /// Sets the stage: serves the sandbox and writes the configuration. No agent runs yet.
    ///
    /// # Errors
    /// No free port, no room for files.
    pub async fn set(plan: Plan, program: PathBuf) -> anyhow::Result<Self> {
        let number = STAGES.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("standin-demo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut spec = Spec::pair();
        spec.settings.throttling = false;
        for (instance, host) in spec.instance.iter_mut().zip([21, 22]) {
            for interface in instance.interface.iter_mut().take(1) {
                interface.secondary = vec![Ipv4Addr::new(127, 0, 0, host)];
            }
        }
        let sandbox = serve(spec, Options { port: 0, clock: super::super::sandbox::clock() })
            .await
            .context("cannot serve the sandbox")?;
        let port = free_port()?;
        let environment = [Vec::new(), Vec::new()];
        let stage = Self { folder, sandbox, agents: [None, None], program, port, environment };
        stage.delay_calls(plan.api_delay);
        files::write(&stage, plan)?;
        Ok(stage)
    }

    /// The sandbox's endpoint.
    pub fn endpoint(&self) -> &str {
        &self.sandbox.ec2_url
    }

    /// The port of the heartbeats.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The sandbox itself: its truth, its faults, its orders.
    pub fn sandbox(&self) -> &Running {
        &self.sandbox
    }

    /// The folder of everything that the stage writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a node's configuration is: its own file, so that it can be made another one.
    pub fn config(&self, node: usize) -> PathBuf {
        self.folder.join(format!("{}.toml", NODES[node]))
    }

    /// Sets a variable in the environment of the node's agents that are started from now on.
    pub fn set_env(&mut self, node: usize, name: &str, value: &str) {
        self.environment[node].push((name.to_owned(), value.to_owned()));
    }

    /// Adds so much to every call to EC2 from now on.
    pub fn delay_calls(&self, by: Duration) {
        let now = self.sandbox.now();
        self.sandbox.with_faults(|faults| {
            faults.clear();
            if by > Duration::ZERO {
                let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
                faults.add(FaultSpec::new(FaultKind::Delay { ms }), now);
            }
        });
    }

    /// Starts an agent.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let name = NODES[node];
        let instance = &self.sandbox.instances[node];
        let log = File::options().create(true).append(true).open(self.log(node))?;
        let child = Command::new(&self.program)
            .args(["run", "--node", name, "--log", "json", "--config"])
            .arg(self.config(node))
            .arg("--socket")
            .arg(self.socket(node))
            .arg("--state-dir")
            .arg(self.folder.join(name))
            .env(super::super::run::END_WITH_PARENT, "1")
            .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &instance.imds_url)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("NOTIFY_SOCKET")
            .envs(self.environment[node].iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.agents[node] = Some(child);
        Ok(())
    }

    /// Sends a signal to an agent.
    ///
    /// # Errors
    /// It does not run.
    pub fn signal(&self, node: usize, signal: Signal) -> anyhow::Result<()> {
        let child = self.agents[node].as_ref().context("the agent does not run")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot send {signal:?} to {}", NODES[node]))
    }

    /// Whether an agent's process has ended: collects it.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn ended(&mut self, node: usize) -> anyhow::Result<bool> {
        Ok(self.agents[node].is_none() || self.end(node)?.is_some())
    }

    /// How an agent's process has ended, once: collects it. `None`: it runs, or none was started.
    ///
    /// # Errors
    /// The operating system does not say.
    pub fn end(&mut self, node: usize) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.agents[node] else { return Ok(None) };
        let end = child.try_wait()?;
        if end.is_some() {
            self.agents[node] = None;
        }
        Ok(end)
    }

    /// The agent's process id.
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.agents[node].as_ref().map(Child::id)
    }

    /// What an agent says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn status(&self, node: usize) -> anyhow::Result<Status> {
        let socket = self.socket(node);
        let asked = tokio::task::spawn_blocking(move || client::ask(&socket, Request::Status));
        match asked.await?? {
            Response::Status(status) => Ok(*status),
            Response::Pong { .. } | Response::Accepted | Response::Refused { .. } => bail!("no status"),
        }
    }

    /// Waits until `active` serves everything and the other one could take over at once.
    ///
    /// # Errors
    /// It is not so within a minute: what is in the way.
    pub async fn ready(&mut self, active: usize) -> anyhow::Result<()> {
        let deadline = clock::now() + Duration::from_secs(60);
        loop {
            let obstacle = self.obstacle(active).await;
            let Some(obstacle) = obstacle else { return Ok(()) };
            for (node, name) in NODES.iter().enumerate() {
                if self.ended(node)? {
                    bail!("{name} has ended: {}", self.last_words(node));
                }
            }
            if clock::now() > deadline {
                bail!("the pair is not ready within a minute: {obstacle}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn obstacle(&self, active: usize) -> Option<String> {
        let standby = 1 - active;
        let here = match self.status(active).await {
            Ok(status) => status,
            Err(error) => return Some(format!("{}: {error:#}", NODES[active])),
        };
        let there = match self.status(standby).await {
            Ok(status) => status,
            Err(error) => return Some(format!("{}: {error:#}", NODES[standby])),
        };
        let (ours, theirs) = (here.groups.first()?, there.groups.first()?);
        if ours.role != "active" || !ours.reached {
            return Some(format!("{} is {}: {}", NODES[active], ours.role, ours.situation));
        }
        if theirs.armed.as_deref() != Some(NODES[active]) || !theirs.takeover.works {
            return Some(format!("{} could not take over: {}", NODES[standby], theirs.takeover.because));
        }
        if !ours.takeover.works {
            return Some(format!("{}: {}", NODES[active], ours.takeover.because));
        }
        (!self.holds_everything(active)).then(|| format!("{} does not hold everything", NODES[active]))
    }

    /// Whether EC2, in truth, has everything at this node.
    pub fn holds_everything(&self, node: usize) -> bool {
        self.holders().iter().all(|(_, holder)| *holder == NODES[node])
    }

    /// Every resource, and the node that holds it in truth.
    pub fn holders(&self) -> Vec<(String, String)> {
        self.sandbox.with_vpc(|vpc| {
            let name = |holder: Option<Holder>| {
                let owner = holder.and_then(|it| self.owner(&it.interface));
                owner.unwrap_or("nobody").to_owned()
            };
            let mut all = vec![(format!("private IP {SERVICE}"), name(vpc.private_ip_holder(SERVICE)))];
            for address in self.sandbox.elastic_ips.iter().filter(|it| it.name != "spare") {
                let holder = name(vpc.elastic_ip_holder(&address.allocation_id));
                all.push((format!("Elastic IP {} ({})", address.public_ip, address.name), holder));
            }
            for table in &self.sandbox.route_tables {
                for destination in DESTINATIONS {
                    let Ok(net) = destination.parse() else { continue };
                    let holder = name(vpc.route_holder(&table.id, &Destination::Cidr(net)));
                    all.push((format!("route {destination} in {}", table.name), holder));
                }
            }
            all
        })
    }

    fn owner(&self, interface: &str) -> Option<&'static str> {
        let at =
            self.sandbox.instances.iter().position(|it| it.interfaces.iter().any(|eni| eni.id == interface));
        at.and_then(|at| NODES.get(at).copied())
    }

    /// The number of the last change in EC2.
    pub fn last_change(&self) -> u64 {
        self.sandbox.with_vpc(|vpc| vpc.last_change())
    }

    /// What has changed hands in EC2 since then.
    pub fn moves_since(&self, seq: u64) -> Vec<Move> {
        let origin = Time::ZERO + self.sandbox.origin();
        let changes: Vec<Change> = self.sandbox.with_vpc(|vpc| vpc.changes(seq).cloned().collect());
        let mut moves = Vec::new();
        for change in changes {
            let anchor = match &change.subject {
                Subject::PrivateIp { address, .. } => *address == SERVICE,
                Subject::ElasticIp { .. } | Subject::Route { .. } => false,
                Subject::Instance { .. } | Subject::Tag { .. } => continue,
            };
            let interface = change.to.as_deref().and_then(|to| to.split(['/', ' ']).next());
            let to = interface.and_then(|id| self.owner(id));
            moves.push(Move { at: origin + Duration::from_micros(change.at_us), anchor, to });
        }
        moves
    }

    /// When an agent first said this, not before `since`.
    ///
    /// # Errors
    /// Its log cannot be read.
    pub fn said(&self, node: usize, ids: &[&str], since: Time) -> anyhow::Result<Option<Time>> {
        let text = std::fs::read_to_string(self.log(node))?;
        Ok(text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|line| line["id"].as_str().is_some_and(|id| ids.contains(&id)))
            .filter_map(|line| line["boot_us"].as_u64())
            .map(|us| Time::from_nanos(us.saturating_mul(1000)))
            .find(|at| *at >= since))
    }

    /// Whether the hook that stands for the service has run since it was last forgotten.
    pub fn promoted(&self, node: usize) -> bool {
        self.folder.join(format!("promoted-{}", NODES[node])).exists()
    }

    /// Forgets what a node's agents have stored: six takeovers by silence an hour, among others.
    pub fn forget_state(&self, node: usize) {
        // If there is nothing, there is nothing to forget.
        let _ = std::fs::remove_dir_all(self.folder.join(NODES[node]));
    }

    /// Forgets that the hook has run.
    pub fn forget_promotion(&self, node: usize) {
        // If it is not there, it is forgotten already.
        let _ = std::fs::remove_file(self.folder.join(format!("promoted-{}", NODES[node])));
    }

    /// The message that it ended with, of several lines perhaps, after the log's; or the log's last line.
    fn last_words(&self, node: usize) -> String {
        let text = std::fs::read_to_string(self.log(node)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let message = lines.iter().rposition(|line| line.starts_with('{')).map_or(0, |last| last + 1);
        match (&lines[message..], lines.last()) {
            ([], None) => "it said nothing".to_owned(),
            ([], Some(last)) => (*last).to_owned(),
            (message, _) => message.join("\n"),
        }
    }

    /// Where a node's agents log to, one after the other.
    pub fn log(&self, node: usize) -> PathBuf {
        self.folder.join(format!("{}.log", NODES[node]))
    }

    /// The operator's socket of a node.
    pub fn socket(&self, node: usize) -> PathBuf {
        self.folder.join(format!("{}.sock", NODES[node]))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.agents.iter_mut().flatten() {
            // A process that is already gone needs no killing; a stopped one dies of SIGKILL, too.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
