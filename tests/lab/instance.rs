//! An instance: a container that boots the root tree's real systemd, with a disk of its own over it that outlives
//! the container, as an EC2 instance's does.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use standin::control::client;
use standin::control::protocol::{Request, Response, Status};

use crate::network::{self, CARRIER, ENDS, NODES, PUBLIC, SERVICE};

/// A boot takes a second or two, on a machine that has nothing else to do.
const BOOT: Duration = Duration::from_secs(60);
/// What is copied onto its disk: the configuration of Asterisk and of systemd.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/instance");
/// Only on loopback, in a network that is not there for long.
pub(crate) const AMI_SECRET: &str = "of-the-lab";
const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/standin.service");

/// One instance.
pub(crate) struct Instance {
    pub(crate) node: usize,
    root: PathBuf,
    cgroup: String,
    nspawn: Option<Child>,
    /// Its process 1, seen from here.
    leader: i32,
}

impl Instance {
    /// An instance with its disk; it does not run yet.
    pub(crate) fn make(node: usize, folder: &Path, tree: &Path, cgroup: &str) -> anyhow::Result<Self> {
        let name = NODES[node];
        let [upper, work, root] = ["disk", "work", "root"].map(|it| folder.join(name).join(it));
        for folder in [&upper, &work, &root] {
            std::fs::create_dir_all(folder)?;
        }
        run(Command::new("cp").arg("-rT").arg(FILES).arg(&upper))?;
        let fill = |path: PathBuf| -> anyhow::Result<()> {
            let text = std::fs::read_to_string(&path)?
                .replace("@NODE@", name)
                .replace("@SERVICE@", &SERVICE.to_string())
                .replace("@PUBLIC@", &PUBLIC.to_string())
                .replace("@CARRIER@", &CARRIER.to_string())
                .replace("@SECRET@", AMI_SECRET);
            Ok(std::fs::write(path, text)?)
        };
        for entry in std::fs::read_dir(upper.join("etc/asterisk"))? {
            fill(entry?.path())?;
        }
        std::fs::write(upper.join("etc/hostname"), format!("{name}\n"))?;
        std::fs::write(upper.join("etc/hosts"), format!("127.0.0.1 localhost\n127.0.1.1 {name}\n"))?;
        // There is no DNS, and whoever asks is told so at once.
        std::fs::write(upper.join("etc/resolv.conf"), "")?;
        // A journal that outlives the instance.
        std::fs::create_dir_all(upper.join("var/log/journal"))?;
        let units = upper.join("etc/systemd/system");
        std::fs::copy(UNIT, units.join("standin.service"))?;
        // A warm standby: Asterisk starts with the system.
        let enabled = [
            ("multi-user", "/etc/systemd/system/standin.service"),
            ("multi-user", "/lib/systemd/system/asterisk.service"),
            ("sockets", "/etc/systemd/system/who.socket"),
        ];
        for (target, unit) in enabled.map(|(target, unit)| (target, Path::new(unit))) {
            let wants = units.join(format!("{target}.target.wants"));
            std::fs::create_dir_all(&wants)?;
            symlink(unit, wants.join(unit.file_name().context("a unit's file")?))?;
        }
        let layers =
            format!("lowerdir={},upperdir={},workdir={}", tree.display(), upper.display(), work.display());
        run(Command::new("mount").args(["-t", "overlay", "overlay", "-o", &layers]).arg(&root))?;
        Ok(Self { node, root, cgroup: format!("{cgroup}/{name}"), nspawn: None, leader: 0 })
    }

    /// Writes a file on its disk.
    pub(crate) fn write(&self, path: &str, text: &str, mode: u32) -> anyhow::Result<()> {
        let path = self.root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().context("a path of a file")?)?;
        std::fs::write(&path, text)?;
        Ok(std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?)
    }

    /// Boots it, and waits until it is up: not for what its services then do.
    pub(crate) fn boot(&mut self, program: &Path, macs: &[String; 2]) -> anyhow::Result<()> {
        let name = NODES[self.node];
        network::attach(self.node, macs)?;
        let console = std::fs::File::create(self.root.with_file_name("console"))?;
        // A cgroup of its own: containers in one cgroup share it, and one's systemd would clear up the other's.
        let script = r#"for at in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
              [ ! -e $at/cgroup.procs ] || { mkdir -p $at/$CGROUP && echo $$ > $at/$CGROUP/cgroup.procs; }
            done
            exec systemd-nspawn "$@""#;
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            script,
            "sh",
            "--quiet",
            "--register=no",
            "--console=pipe",
            "--resolv-conf=off",
            "--boot",
        ]);
        // Addresses on its interfaces; and the guard locks its memory.
        command.arg("--capability=CAP_NET_ADMIN,CAP_IPC_LOCK");
        // Where systemd runs it gets a scope; elsewhere there is nobody to ask for one.
        if !Path::new("/run/systemd/system").exists() {
            command.arg("--keep-unit");
        }
        command
            .arg(format!("--machine={name}"))
            .arg(format!("--network-namespace-path=/run/netns/{name}"))
            .arg(format!("--bind-ro={}:/usr/local/bin/standin", program.display()))
            .arg("--directory")
            .arg(&self.root)
            .env("CGROUP", &self.cgroup)
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", if unified { "1" } else { "0" })
            .stdin(Stdio::null())
            .stderr(console.try_clone()?)
            .stdout(console);
        self.nspawn = Some(command.spawn().context("cannot start systemd-nspawn")?);
        self.wait_for_boot()
    }

    fn wait_for_boot(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + BOOT;
        let nspawn = self.nspawn.as_ref().context("it was started")?.id();
        loop {
            let children = std::fs::read_to_string(format!("/proc/{nspawn}/task/{nspawn}/children"));
            for child in children.unwrap_or_default().split_ascii_whitespace() {
                let comm = std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
                if comm.trim() == "systemd" {
                    self.leader = child.parse()?;
                }
            }
            if self.leader != 0 {
                let state = self.inside(&["systemctl", "is-system-running"])?;
                if matches!(String::from_utf8_lossy(&state.stdout).trim(), "running" | "degraded") {
                    return Ok(());
                }
            }
            let console = std::fs::read_to_string(self.root.with_file_name("console")).unwrap_or_default();
            let name = NODES[self.node];
            ensure!(self.runs()?, "{name} did not boot: {console}");
            ensure!(Instant::now() < deadline, "{name} is not up after a minute: {console}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether its container is there; collects one that has ended.
    pub(crate) fn runs(&mut self) -> anyhow::Result<bool> {
        let Some(nspawn) = &mut self.nspawn else { return Ok(false) };
        if nspawn.try_wait()?.is_some() {
            (self.nspawn, self.leader) = (None, 0);
        }
        Ok(self.nspawn.is_some())
    }

    /// The power is cut: its processes are gone, and its links too.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        let Some(mut nspawn) = self.nspawn.take() else { return Ok(()) };
        // With its process 1 goes all that runs in it. The namespace is still there and would answer pings.
        kill_process(self.pid(self.leader)?, Signal::KILL)?;
        network::plug(&ENDS[self.node], false)?;
        self.leader = 0;
        nspawn.wait()?;
        Ok(())
    }

    /// It shuts down by itself: waits for its end.
    pub(crate) fn wait_for_end(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + BOOT;
        while self.runs()? {
            ensure!(Instant::now() < deadline, "{} does not shut down", NODES[self.node]);
            std::thread::sleep(Duration::from_millis(50));
        }
        network::plug(&ENDS[self.node], false)
    }

    /// Sends a signal to every process in it: SIGSTOP is a pause of the virtual machine.
    pub(crate) fn signal_all(&self, signal: Signal) -> anyhow::Result<()> {
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let ours = namespace(&self.leader.to_string()).context("it runs")?;
        // Again, for what was started meanwhile.
        for _ in 0..3 {
            for entry in std::fs::read_dir("/proc")? {
                let name = entry?.file_name();
                let Some(pid) = name.to_str().filter(|it| it.bytes().all(|it| it.is_ascii_digit())) else {
                    continue;
                };
                if namespace(pid).as_ref() == Some(&ours) {
                    // One that has just ended needs no signal.
                    let _ = kill_process(self.pid(pid.parse()?)?, signal);
                }
            }
        }
        Ok(())
    }

    /// Its process 1, as this process sees it; 0: it does not run.
    pub(crate) fn leader(&self) -> i32 {
        self.leader
    }

    fn pid(&self, pid: i32) -> anyhow::Result<Pid> {
        Pid::from_raw(pid).with_context(|| format!("{} does not run", NODES[self.node]))
    }

    /// Runs a command inside.
    pub(crate) fn inside(&self, command: &[&str]) -> anyhow::Result<Output> {
        ensure!(self.leader != 0, "{} does not run", NODES[self.node]);
        let leader = self.leader.to_string();
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["-t", &leader, "-m", "-u", "-i", "-n", "-p", "--"]).args(command);
        nsenter.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))
    }

    /// The same, and it has to succeed: what it printed.
    pub(crate) fn command(&self, command: &[&str]) -> anyhow::Result<String> {
        let done = self.inside(command)?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            bail!("{} on {}: {said}", command.join(" "), NODES[self.node]);
        }
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    /// Sends a signal to a unit's main process, past systemd.
    pub(crate) fn signal_unit(&self, unit: &str, signal: &str) -> anyhow::Result<()> {
        self.command(&["systemctl", "kill", "--kill-whom=main", "--signal", signal, unit]).map(drop)
    }

    /// Asks its agent.
    pub(crate) fn ask(&self, request: Request) -> anyhow::Result<Response> {
        ensure!(self.leader != 0, "{} does not run", NODES[self.node]);
        let socket = format!("/proc/{}/root/run/standin/standin.sock", self.leader);
        Ok(client::ask(Path::new(&socket), request)?)
    }

    /// What its agent says of itself.
    pub(crate) fn status(&self) -> anyhow::Result<Status> {
        match self.ask(Request::Status)? {
            Response::Status(status) => Ok(*status),
            Response::Pong { .. } | Response::Accepted | Response::Refused { .. } => bail!("no status"),
        }
    }

    /// What its units logged since then (seconds since 1970).
    pub(crate) fn log(&self, since: u64) -> String {
        let journal = self.root.join("var/log/journal");
        let mut command = Command::new("journalctl");
        command.arg("-D").arg(journal).args(["--no-pager", "--quiet", "--utc", "-o", "short-precise"]);
        command.args(["-u", "standin.service", "-u", "asterisk.service", "--since", &format!("@{since}")]);
        match command.output() {
            Ok(done) => String::from_utf8_lossy(&done.stdout).into_owned(),
            Err(error) => format!("no log: {error}"),
        }
    }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(done.status.success(), "{command:?} said: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
