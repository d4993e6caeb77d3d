//! The lab as a whole: EC2, the network, two instances, and whoever calls. It is made ready before each scenario.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use standin::control::protocol::{Group, Request, Response};

use crate::clients::Carrier;
use crate::cloud::Cloud;
use crate::instance::{AMI_SECRET, Instance, run};
use crate::network::{self, ENDS, LINKS, NODES, OFFICE_ROUTE, PUBLIC, SERVICE};

/// How long anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After six takeovers by silence within an hour silence counts no more; before that the nodes forget them.
const SILENCES: usize = 4;
/// The group's name.
pub(crate) const GROUP: &str = "ivr";

pub(crate) struct Lab {
    pub(crate) cloud: Cloud,
    pub(crate) nodes: [Instance; 2],
    pub(crate) carrier: Carrier,
    pub(crate) folder: PathBuf,
    program: PathBuf,
    /// How often the anchor has moved since the nodes forgot.
    moves: usize,
}

impl Lab {
    /// Sets it up in the namespaces of this process, and boots both.
    pub(crate) fn set_up(program: &Path, tree: &Path, cgroup: &str) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir();
        for own in [Path::new("/run/netns"), Path::new("/run/systemd/nspawn"), &folder] {
            std::fs::create_dir_all(own)?;
            run(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(own))?;
        }
        let cloud = Cloud::serve()?;
        let (ec2, metadata) = cloud.ports()?;
        network::make(ec2, metadata)?;
        let make = |node| Instance::make(node, &folder, tree, cgroup);
        let nodes = [make(0)?, make(1)?];
        let configuration = configuration(&cloud.ids());
        let key = Command::new(program).arg("keygen").output()?;
        let key = String::from_utf8(key.stdout)?;
        for node in &nodes {
            node.write("/etc/standin/standin.toml", &configuration, 0o644)?;
            node.write("/etc/standin/cluster.key", &key, 0o600)?;
            node.write("/etc/standin/ami.secret", AMI_SECRET, 0o600)?;
        }
        let carrier = Carrier::start();
        let mut lab = Self { cloud, nodes, carrier, folder, program: program.to_owned(), moves: 0 };
        for node in [0, 1] {
            lab.boot(node)?;
        }
        lab.cloud.steer();
        Ok(lab)
    }

    pub(crate) fn boot(&mut self, node: usize) -> anyhow::Result<()> {
        let macs = self.cloud.macs(node);
        self.nodes[node].boot(&self.program, &macs)
    }

    /// A healthy pair, whatever the scenario before has left: who is active, and who is standby.
    pub(crate) fn ready(&mut self) -> anyhow::Result<(usize, usize)> {
        network::faults(&[])?;
        for node in [0, 1] {
            if self.nodes[node].runs()? {
                network::plug(&ENDS[node], true)?;
                self.nodes[node].command(&["systemctl", "start", "standin.service"])?;
            } else {
                self.boot(node)?;
            }
        }
        if self.moves >= SILENCES {
            self.forget()?;
        }
        let mut why = String::new();
        let found = until("a healthy pair", PATIENCE, || {
            let (active, obstacle) = self.obstacle()?;
            why = obstacle.unwrap_or_default();
            // What a scenario before has left on purpose.
            if let Some(node) = self.failed() {
                self.ask(node, Request::Cleanup { group: GROUP.into() })?;
            }
            Ok(if why.is_empty() { active } else { None })
        });
        let active = found.with_context(|| why)?;
        Ok((active, 1 - active))
    }

    /// Counts moves of the anchor, so that the nodes can be made to forget them in time.
    pub(crate) fn moved(&mut self, times: usize) {
        self.moves += times;
    }

    /// Both agents are stopped, and start with nothing remembered.
    fn forget(&mut self) -> anyhow::Result<()> {
        self.moves = 0;
        for node in &self.nodes {
            node.command(&["systemctl", "stop", "standin.service"])?;
        }
        for node in &self.nodes {
            node.command(&["sh", "-c", "rm -rf /var/lib/standin/*"])?;
            node.command(&["systemctl", "start", "standin.service"])?;
        }
        Ok(())
    }

    /// A node whose service has failed and that remembers it.
    fn failed(&self) -> Option<usize> {
        [0, 1].into_iter().find(|node| self.group(*node).is_ok_and(|it| it.fail_count > 0))
    }

    /// The anchor's holder, and what is in the way of a healthy pair.
    pub(crate) fn obstacle(&self) -> anyhow::Result<(Option<usize>, Option<String>)> {
        let Some(active) = self.cloud.holder() else {
            return Ok((None, Some("nobody holds the anchor".into())));
        };
        let say = |why: String| Ok((Some(active), Some(why)));
        let mut groups = Vec::new();
        for node in [active, 1 - active] {
            match self.group(node) {
                Ok(group) => groups.push(group),
                Err(error) => return say(format!("{}: {error:#}", NODES[node])),
            }
        }
        let (ours, theirs) = (&groups[0], &groups[1]);
        if ours.maintenance {
            self.ask(active, Request::Maintenance { group: GROUP.into(), on: false })?;
            return say("maintenance".into());
        }
        if ours.role != "active" || !ours.reached || !ours.failing.is_empty() {
            return say(format!("{} is {}: {} {:?}", NODES[active], ours.role, ours.situation, ours.failing));
        }
        if theirs.armed.as_deref() != Some(NODES[active]) || !theirs.takeover.works || !ours.takeover.works {
            let (here, there) = (&ours.takeover.because, &theirs.takeover.because);
            return say(format!("{} could not take over: {there}; {here}", NODES[1 - active]));
        }
        Ok((Some(active), None))
    }

    /// What a node's agent says of the group.
    pub(crate) fn group(&self, node: usize) -> anyhow::Result<Group> {
        let status = self.nodes[node].status()?;
        status.groups.into_iter().next().context("there is one group")
    }

    /// Asks an agent for something that it has to accept.
    pub(crate) fn ask(&self, node: usize, request: Request) -> anyhow::Result<()> {
        match self.nodes[node].ask(request)? {
            Response::Accepted => Ok(()),
            Response::Refused { why } => bail!("{} refuses: {why}", NODES[node]),
            Response::Pong { .. } | Response::Status(_) => bail!("an answer to another question"),
        }
    }

    /// Waits until everything is where it belongs: EC2's word, the nodes' own, and the packets.
    pub(crate) fn settled(&mut self, active: usize) -> anyhow::Result<()> {
        let mut why = anyhow::Ok(());
        let running = [self.nodes[0].runs()?, self.nodes[1].runs()?];
        let found = until("everything where it belongs", PATIENCE, || {
            why = self.in_place(active, running);
            Ok(why.is_ok().then_some(()))
        });
        why?;
        found
    }

    fn in_place(&self, active: usize, running: [bool; 2]) -> anyhow::Result<()> {
        let holders = self.cloud.holders();
        ensure!(holders == [Some(active); 3], "EC2 has private address, Elastic IP and route at {holders:?}");
        for node in [0, 1] {
            if !running[node] {
                continue;
            }
            let (role, name) = (self.group(node)?.role, NODES[node]);
            let want = if node == active { "active" } else { "standby" };
            ensure!(role == want, "{name} is {role}, not {want}");
            let addresses =
                self.nodes[node].command(&["ip", "-4", "-o", "address", "show", "dev", "eth0"])?;
            let has = addresses.contains(&format!("{SERVICE}/"));
            ensure!(has == (node == active), "{name}, {want}: {SERVICE} on its eth0 is {has}");
        }
        for address in [PUBLIC, OFFICE_ROUTE] {
            let said = who(address)?;
            ensure!(said == NODES[active], "at {address} answers {said:?}");
        }
        Ok(())
    }

    /// What both nodes logged since then (seconds since 1970).
    pub(crate) fn logs(&self, since: u64) -> String {
        let log = |node: &Instance| format!("---- {}\n{}", NODES[node.node], node.log(since));
        self.nodes.iter().map(log).collect()
    }
}

/// The name of the node that answers at an address, asked by TCP from outside.
fn who(address: Ipv4Addr) -> anyhow::Result<String> {
    let ask = move || -> anyhow::Result<String> {
        network::enter_internet()?;
        let second = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((address, 7)), second)
            .with_context(|| format!("{address}, port 7"))?;
        stream.set_read_timeout(Some(second))?;
        let mut name = String::new();
        stream.read_to_string(&mut name)?;
        Ok(name.trim().to_owned())
    };
    std::thread::spawn(ask).join().map_err(|_| anyhow::anyhow!("it panicked"))?
}

/// Waits for something.
pub(crate) fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "not within {patience:?}: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

fn configuration([region, allocation, table]: &[String; 3]) -> String {
    let mut text = format!(
        "cluster = \"lab\"\n[aws]\nregion = \"{region}\"\nendpoint-url = \"http://{}\"\n",
        network::EC2
    );
    for (name, [one, two]) in NODES.iter().zip(LINKS) {
        text += &format!("[[node]]\nname = \"{name}\"\nlinks = [\"{one}\", \"{two}\"]\n");
    }
    text + &format!(
        r#"
[[group]]
name = "{GROUP}"
anchor = "service-address"
[[group.private-ip]]
name = "service-address"
address = "{SERVICE}"
elastic-ip = "{allocation}"
source-ports = ["udp:5060", "udp:10000-20000"]
[[group.route]]
name = "office"
tables = ["{table}"]
destinations = ["{OFFICE_ROUTE}/32"]
[group.service]
unit = "asterisk.service"
standby = "warm"
[group.asterisk]
user = "standin"
[[group.check]]
name = "sip"
sip-options = "udp:{SERVICE}:5060"
every = "500ms"
timeout = "500ms"
[[group.check]]
interface = "eth0"
"#
    )
}
