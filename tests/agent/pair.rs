//! Two nodes' worth of everything: EC2, configuration, agents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use standin::agent::{Agent, Ended, Parts, Reach, StartError};
use standin::cloud::{Cloud, LeaseTable};
use standin::config::{Config, Keys, Recovery};
use standin::control::client;
use standin::control::protocol::{Group, Node, Request, Response, Status};
use standin::sandbox::model::Spec;

use crate::cloud::{Line, World};
use crate::leases::Leases;

pub(crate) const DEAD_AFTER: Duration = Duration::from_millis(300);

/// Two nodes' worth of everything.
pub(crate) struct Pair {
    pub(crate) world: World,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    pub(crate) key: [u8; 32],
    /// Whether the address is set up on the guest's interface.
    pub(crate) guest: bool,
    /// Interval and dead-after.
    pub(crate) timers: (&'static str, &'static str),
    /// What the demote hook does at its end.
    pub(crate) demote: &'static str,
    /// More keys of the group.
    pub(crate) group: String,
    /// More tables of the file.
    pub(crate) tables: &'static str,
    /// What `OWN` stands for in those, for each node: only a test has a file that is not the same everywhere.
    pub(crate) own: Vec<(&'static str, String)>,
    /// Instead of what the file says.
    pub(crate) recovery: Option<Recovery>,
    /// The lease table, for a group that has one.
    pub(crate) leases: Option<Arc<Leases>>,
}

pub(crate) struct Member {
    pub(crate) agent: Option<Agent>,
    pub(crate) line: Arc<Line>,
    pub(crate) socket: PathBuf,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::of(&Spec::pair())
    }

    pub(crate) fn of(spec: &Spec) -> Self {
        let mut spec = spec.clone();
        spec.settings.throttling = false;
        let port = standin::cli::demo::stage::free_port().unwrap();
        Self {
            world: World::new(&spec),
            folder: tempfile::tempdir().unwrap(),
            port,
            key: [7; 32],
            guest: false,
            timers: ("50ms", "300ms"),
            demote: "true",
            group: String::new(),
            tables: "",
            own: Vec::new(),
            recovery: None,
            leases: None,
        }
    }

    pub(crate) fn text(&self, node: &str) -> String {
        let state = self.world.with(|vpc| vpc.state().clone());
        let eip = |name: &str| state.elastic_ips.values().find(|it| it.name == name).unwrap().id.clone();
        let tables: Vec<String> = state.route_tables.keys().map(|id| format!("{id:?}")).collect();
        let hooks = self.folder.path().join("hooks").display().to_string();
        let own = self.folder.path().join(node).display().to_string();
        format!(
            r#"
            cluster = "test"
            key-file = "/nonexistent"
            state-dir = "{own}/state"
            socket = "{own}/standin.sock"
            [heartbeat]
            port = {port}
            interval = "{interval}"
            dead-after = "{dead_after}"
            first-dead-after = "10s"
            [aws]
            call-timeout = "1s"
            [[node]]
            name = "ivr-a"
            links = ["127.0.0.11", "127.0.1.11"]
            [[node]]
            name = "ivr-b"
            links = ["127.0.0.12", "127.0.1.12"]
            [[group]]
            name = "ivr"
            nodes = ["ivr-a", "ivr-b"]
            anchor = "service-address"
            {group}
            [[group.private-ip]]
            name = "service-address"
            address = "127.0.0.100"
            elastic-ip = "{service}"
            guest = {guest}
            [[group.elastic-ip]]
            name = "trunk"
            allocation-id = "{trunk}"
            to = {{ ivr-a = "127.0.1.11", ivr-b = "127.0.1.12" }}
            [[group.route]]
            name = "office"
            tables = [{tables}]
            destinations = ["10.99.0.0/24", "10.99.1.0/24"]
            [[group.hook]]
            on = "promote"
            run = ["/bin/sh", "-c", "echo $STANDIN_NODE $STANDIN_EVENT $STANDIN_GROUP >> {hooks}"]
            timeout = "5s"
            [[group.hook]]
            on = "demote"
            run = ["/bin/sh", "-c", "echo $STANDIN_NODE $STANDIN_EVENT $STANDIN_GROUP >> {hooks}; {demote}"]
            timeout = "5s"
            {more}
            "#,
            group = self.group,
            more = self
                .tables
                .replace("{node}", node)
                .replace("OWN", self.own.iter().find(|it| it.0 == node).map_or("OWN", |it| &it.1)),
            port = self.port,
            interval = self.timers.0,
            dead_after = self.timers.1,
            guest = self.guest,
            demote = self.demote,
            service = eip("service"),
            trunk = eip("trunk"),
            tables = tables.join(", "),
        )
    }

    pub(crate) fn config(&self, node: &str) -> Config {
        Config::parse(&self.text(node), "test").unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn start(&self, node: &'static str) -> Member {
        let line = self.world.line(node);
        let agent = self.agent(node, &line).unwrap_or_else(|error| panic!("{error}"));
        Member { agent: Some(agent), line, socket: self.config(node).socket }
    }

    pub(crate) fn agent(&self, node: &'static str, line: &Arc<Line>) -> Result<Agent, StartError> {
        let config = Config { recovery: self.recovery, ..self.config(node) };
        let me = config.own_node(Some(node), &[]).unwrap();
        let world = self.world.clone();
        let way = Arc::clone(line);
        Agent::start(Parts {
            config,
            me,
            keys: Keys { signing: 1, keys: BTreeMap::from([(1, self.key)]) },
            reach: Reach {
                leases: self.leases.clone().map(|it| it as Arc<dyn LeaseTable>),
                cloud: Arc::clone(line) as Arc<dyn Cloud>,
                who_am_i: Arc::new(move || {
                    let identity = world.identity(node);
                    Box::pin(async move { Ok(identity) })
                }),
                way_changed: Box::new(move || way.reconnect()),
                background: Box::pin(async {}),
            },
        })
    }

    pub(crate) fn hooks(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("hooks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Everything is with this node, in truth.
    pub(crate) fn all_with(&self, node: &str) -> bool {
        self.world.holders().iter().all(|holder| holder == node)
    }
}

impl Member {
    pub(crate) fn status(&self) -> Status {
        let answer = client::ask(&self.socket, Request::Status).unwrap();
        let Response::Status(status) = answer else { panic!("{answer:?}") };
        *status
    }

    pub(crate) fn group(&self) -> Group {
        self.status().groups.remove(0)
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        self.status().nodes.into_iter().find(|it| it.name == name).unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.agent.take().unwrap().kill();
    }

    pub(crate) fn wait(&mut self) -> Ended {
        self.agent.take().unwrap().wait()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.kill();
        }
    }
}

/// Waits until it is so; answers how long that took.
#[track_caller]
pub(crate) fn until(what: &str, patience: u64, mut so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(patience), "not within {patience} s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

/// Both run, `ivr-a` is active and `ivr-b` could take over.
#[track_caller]
pub(crate) fn settled(pair: &Pair) -> (Member, Member) {
    let (a, b) = (pair.start("ivr-a"), pair.start("ivr-b"));
    until("ivr-a is active", 20, || a.group().role == "active");
    until("ivr-b watches, armed and able", 20, || {
        let group = b.group();
        group.row_now == 12 && group.armed.as_deref() == Some("ivr-a") && group.takeover.works
    });
    until("ivr-a has all", 10, || pair.all_with("ivr-a") && a.group().reached);
    (a, b)
}
