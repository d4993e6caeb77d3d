//! The guard's process: one thread, one socket, a few deadlines.

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{setpriority_process, setsid, umask};
use rustix::thread::set_name;

use super::protocol::{Answer, Ask, LONGEST, Order, Question, VERSION, Watched, nanos};
use crate::agent::clock;
use crate::cluster::Time;
use crate::service::cgroup::Cgroup;

/// The clock is read so often at least: the kernel does not count the time in which the machine sleeps.
const LONGEST_WAIT: Duration = Duration::from_millis(200);
/// How often the cgroup of a group whose time is over is looked at: what starts there is killed.
const STRIKE_EVERY: Duration = Duration::from_millis(20);
/// systemd is told again after this, if it did not take it.
const STOP_AGAIN: Duration = Duration::from_secs(1);
/// A guard that guards nothing and is not spoken to ends after this.
const IDLE: Duration = Duration::from_mins(1);

/// One group.
struct Charge {
    group: String,
    unit: String,
    cgroup: Cgroup,
    until: Time,
    fired_at: Option<Time>,
    killed: usize,
    stop: Stop,
    trouble: Option<String>,
}

/// Whether systemd knows that the unit is to stay stopped: else `Restart=` brings it back.
enum Stop {
    /// Not told, since this moment.
    Untold(Option<Time>),
    /// Being told.
    Telling(Child, Time),
    /// It knows.
    Told,
}

/// Guards until nobody needs it any more. What it was told is kept in `state`, for the guard that systemd starts
/// when this one is killed; it belongs where no disk is, in /run.
///
/// # Errors
/// The socket cannot be had: another guard answers there, or the kernel refuses.
pub fn run(path: &Path, state: Option<&Path>) -> io::Result<()> {
    let mut guard = Guard {
        path: path.to_owned(),
        state: state.map(Path::to_owned),
        socket: bind(path)?,
        charges: Vec::new(),
        heard: clock::now(),
        dismissed: false,
    };
    guard.remember();
    // Best effort, all of it: a guard without these is better than none.
    let _own_session = setsid();
    // `killall standin` means the agent.
    let _named = set_name(c"standin-guard");
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        say(&format!("its memory may be swapped out (it takes CAP_IPC_LOCK): {error}"));
    }
    if let Err(error) = setpriority_process(None, -20) {
        say(&format!("it runs at the usual priority (it takes CAP_SYS_NICE): {error}"));
    }
    let pid = std::process::id();
    say(&format!("guards from now on, process {pid}, socket {}", path.display()));
    while guard.is_needed() {
        guard.turn();
    }
    for file in [Some(path), state].into_iter().flatten() {
        let _removed = fs::remove_file(file);
    }
    say("nothing to guard, and nobody speaks to it: it ends");
    Ok(())
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let probe = UnixDatagram::unbound()?;
    if probe.connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another guard answers there"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Nobody but its owner may tell the guard anything, from the first moment on.
    let before = umask(Mode::from_raw_mode(0o177));
    let socket = UnixDatagram::bind(path);
    umask(before);
    let socket = socket?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Guard {
    path: PathBuf,
    state: Option<PathBuf>,
    socket: UnixDatagram,
    charges: Vec<Charge>,
    /// When it was last spoken to.
    heard: Time,
    dismissed: bool,
}

impl Guard {
    fn is_needed(&self) -> bool {
        !self.charges.is_empty() || !self.dismissed && clock::now().since(self.heard) < IDLE
    }

    /// Waits for a word or a deadline, and does what is to be done.
    fn turn(&mut self) {
        let now = clock::now();
        let next = self.charges.iter().map(|charge| charge.next(now)).min().unwrap_or(LONGEST_WAIT);
        let timeout = Timespec::try_from(next.min(LONGEST_WAIT)).ok();
        let mut fds = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN)];
        // Interrupted or out of memory: the deadlines are looked at all the same.
        let _ready = poll(&mut fds, timeout.as_ref());
        // First what was said: it may be that there is more time.
        self.listen();
        let now = clock::now();
        for charge in &mut self.charges {
            charge.look_at_the_clock(now);
        }
        self.keep_the_socket();
    }

    /// Somebody may have cleared the folder away, as systemd does with a unit's RuntimeDirectory.
    fn keep_the_socket(&mut self) {
        if self.path.exists() {
            return;
        }
        if let Some(folder) = self.path.parent() {
            let _made = fs::create_dir_all(folder);
        }
        if let Ok(socket) = bind(&self.path) {
            self.socket = socket;
        }
    }

    fn listen(&mut self) {
        let mut buffer = [0; LONGEST];
        while let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            let bytes = buffer.get(..length).unwrap_or_default();
            if let Ok(question) = serde_json::from_slice::<Question>(bytes) {
                self.heard = clock::now();
                self.answer(question, &from);
            }
        }
    }

    fn answer(&mut self, question: Question, to: &SocketAddr) {
        let Question { version, n, ask } = question;
        let refused = if version == VERSION {
            self.follow(ask).err()
        } else {
            Some(format!("this guard speaks version {VERSION}, not {version}"))
        };
        let watched = self.charges.iter().map(Charge::watched).collect();
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let answer = Answer { n, pid: std::process::id(), program, refused, watched };
        if let Ok(text) = serde_json::to_vec(&answer) {
            // Who asks and does not listen has no answer.
            let _sent = self.socket.send_to_addr(&text, to);
        }
    }

    fn follow(&mut self, ask: Ask) -> Result<(), String> {
        match ask {
            Ask::Look => Ok(()),
            Ask::Guard(order) => {
                self.guard(order)?;
                self.keep_in_mind();
                Ok(())
            }
            Ask::End if self.charges.is_empty() => {
                self.dismissed = true;
                Ok(())
            }
            Ask::End => Err("it guards something".to_owned()),
        }
    }

    /// Goes on where the last guard was killed.
    fn remember(&mut self) {
        let text = self.state.as_ref().and_then(|state| fs::read(state).ok()).unwrap_or_default();
        for order in serde_json::from_slice::<Vec<Order>>(&text).unwrap_or_default() {
            let said = format!("goes on guarding {} for group {}", order.unit, order.group);
            match self.guard(order) {
                Ok(()) => say(&said),
                Err(why) => say(&why),
            }
        }
    }

    fn keep_in_mind(&self) {
        let Some(state) = &self.state else { return };
        let orders: Vec<Order> = self.charges.iter().map(Charge::order).collect();
        let new = state.with_extension("new");
        let written = serde_json::to_vec(&orders).map_err(io::Error::from).and_then(|text| {
            fs::write(&new, text)?;
            fs::rename(&new, state)
        });
        if let Err(error) = written {
            say(&format!("a guard that follows this one will not know what it was told: {error}"));
        }
    }

    fn guard(&mut self, order: Order) -> Result<(), String> {
        let Order { group, unit, cgroup, until } = order;
        let cgroup = Cgroup::of_unit(&unit, &cgroup)?;
        let known = self.charges.iter().position(|charge| charge.group == group);
        // Its stop would hit what is started next.
        if known
            .and_then(|known| self.charges.get(known))
            .is_some_and(|it| matches!(it.stop, Stop::Telling(..)))
        {
            return Err(format!("systemd is still being told to stop {unit}"));
        }
        let Some(until) = until.map(Time::from_nanos) else {
            if let Some(known) = known {
                self.charges.remove(known);
            }
            return Ok(());
        };
        match known.and_then(|known| self.charges.get_mut(known)) {
            Some(charge) if charge.until == until && charge.cgroup == cgroup => {}
            Some(charge) => *charge = Charge::new(group, unit, cgroup, until),
            None => self.charges.push(Charge::new(group, unit, cgroup, until)),
        }
        Ok(())
    }
}

impl Charge {
    fn new(group: String, unit: String, cgroup: Cgroup, until: Time) -> Self {
        let stop = Stop::Untold(None);
        Self { group, unit, cgroup, until, fired_at: None, killed: 0, stop, trouble: None }
    }

    /// How long nothing is to be done.
    fn next(&self, now: Time) -> Duration {
        if now < self.until { self.until.since(now) } else { STRIKE_EVERY }
    }

    fn look_at_the_clock(&mut self, now: Time) {
        if now < self.until {
            return;
        }
        // Kill first, speak later: systemd, journal and disk may be what is broken.
        match self.cgroup.kill() {
            Ok(killed) => self.killed += killed,
            Err(error) => self.trouble = Some(error.to_string()),
        }
        self.tell_systemd(now);
        if self.fired_at.is_none() {
            self.fired_at = Some(now);
            let Self { group, unit, killed, .. } = self;
            let late = now.since(self.until);
            say(&format!(
                "the time of group {group} is over and nobody has prolonged it: {unit} is killed ({killed} processes, \
                 {late:?} after the deadline) and kept down until an agent says otherwise"
            ));
        }
    }

    fn tell_systemd(&mut self, now: Time) {
        match &mut self.stop {
            Stop::Told => {}
            Stop::Untold(Some(since)) if now.since(*since) < STOP_AGAIN => {}
            Stop::Untold(_) => {
                // A process that can be left behind, and that needs no bus: the guard is small, waits for nobody, and
                // may be the last that runs.
                let told = Command::new("systemctl")
                    .args(["stop", "--no-block", "--quiet", "--", &self.unit])
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn();
                self.stop = match told {
                    Ok(child) => Stop::Telling(child, now),
                    Err(error) => {
                        self.trouble = Some(format!("systemctl: {error}"));
                        Stop::Untold(Some(now))
                    }
                };
            }
            Stop::Telling(child, since) => match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) if status.success() => self.stop = Stop::Told,
                Ok(Some(status)) => {
                    self.trouble = Some(format!("systemctl stop: {status}"));
                    self.stop = Stop::Untold(Some(*since));
                }
                Err(error) => {
                    self.trouble = Some(format!("systemctl stop: {error}"));
                    self.stop = Stop::Untold(Some(*since));
                }
            },
        }
    }

    fn order(&self) -> Order {
        let (group, unit) = (self.group.clone(), self.unit.clone());
        Order { group, unit, cgroup: self.cgroup.path().to_owned(), until: Some(nanos(self.until)) }
    }

    fn watched(&self) -> Watched {
        Watched {
            group: self.group.clone(),
            until: nanos(self.until),
            fired_at: self.fired_at.map(nanos),
            killed: self.killed,
            trouble: self.trouble.clone(),
        }
    }
}

/// One line to the journal, if it can be had without waiting: a guard does not hang on its log.
fn say(text: &str) {
    let stderr = io::stderr();
    let mut fds = [PollFd::from_borrowed_fd(stderr.as_fd(), PollFlags::OUT)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0);
    if ready && fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT)) {
        let _said = stderr.lock().write_all(format!("standin guard: {text}\n").as_bytes());
    }
}
