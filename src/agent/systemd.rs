//! What systemd is told (sd_notify(3)), and the one thing it is asked: why are we to stop?

use std::env;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::process::Command;
use tokio::time::timeout;

/// systemd answers within milliseconds, also while the system goes down (17 ms then, measured on systemd
/// 252); a handover must not wait for longer than this.
const PATIENCE: Duration = Duration::from_millis(300);

/// Why the agent was sent SIGTERM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stopping {
    /// `systemctl stop`: this unit is to be stopped, the system goes on.
    Stop,
    /// `systemctl restart`, an upgrade, needrestart: this unit is started again at once.
    Restart,
    /// Reboot, power-off, halt: the system goes down.
    SystemDown,
    /// A signal from somebody else, no systemd, or no answer in time.
    Unknown,
}

/// Tells systemd that the agent is up. Like all of these it does nothing without NOTIFY_SOCKET, and it can
/// wait while systemd is busy: not for the heartbeat loop.
///
/// # Errors
/// NOTIFY_SOCKET names something that cannot be written to.
pub fn ready(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
}

/// Sets the line that `systemctl status` shows.
///
/// # Errors
/// As [`ready`].
pub fn status(text: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Status(&one_line(text))])
}

/// "Still alive": to be said more often than every [`watchdog_interval`].
///
/// # Errors
/// As [`ready`].
pub fn watchdog() -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Watchdog])
}

/// Tells systemd that the agent is going.
///
/// # Errors
/// As [`ready`].
pub fn stopping(status: &str) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))])
}

/// How often to call [`watchdog`]: half of the unit's WatchdogSec, as sd_watchdog_enabled(3) advises.
/// `None`: the unit has none.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

/// Each line of a notification is an assignment: a status of two lines would be a status and something else.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// Asks systemd, after SIGTERM, why. Takes at most 300 ms. Under `systemctl --user` the answer is
/// [`Stopping::SystemDown`] or [`Stopping::Unknown`].
pub async fn why_stopping() -> Stopping {
    if env::var_os("NOTIFY_SOCKET").is_none() && env::var_os("INVOCATION_ID").is_none() {
        return Stopping::Unknown;
    }
    // A file of the kernel's own: no disk to wait for.
    let cgroup = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(unit) = unit_of(&cgroup) else {
        return Stopping::Unknown;
    };
    let mut ask = Command::new("systemctl");
    ask.args(["list-jobs", "--no-legend", "--no-pager", "--plain", "--full"]);
    ask_for_jobs(ask, PATIENCE).await.map_or(Stopping::Unknown, |jobs| reason(&jobs, unit))
}

/// What the command prints. `None`: it failed, or took too long, and was killed.
async fn ask_for_jobs(mut ask: Command, patience: Duration) -> Option<String> {
    ask.stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    let answer = timeout(patience, ask.output()).await.ok()?.ok()?;
    answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// The unit in which a process runs, by its /proc/self/cgroup: in systemd's own hierarchy (cgroup v1) or the
/// unified one, the innermost service.
fn unit_of(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| {
        let (_number, rest) = line.split_once(':')?;
        let (hierarchy, path) = rest.split_once(':')?;
        let systemds = hierarchy.is_empty() || hierarchy == "name=systemd";
        let unit = path.rsplit('/').find(|part| part.ends_with(".service"))?;
        systemds.then_some(unit)
    })
}

/// Why the unit stops, by what `systemctl list-jobs` prints: number, unit, job, state. Every way down
/// (reboot, power-off, halt, kexec, soft-reboot) starts shutdown.target, and stops our unit with it.
fn reason(jobs: &str, unit: &str) -> Stopping {
    let job_of = |wanted: &str| {
        jobs.lines().find_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let name = columns.next()?;
            columns.next().filter(|_job| name == wanted)
        })
    };
    if job_of("shutdown.target") == Some("start") {
        return Stopping::SystemDown;
    }
    match job_of(unit) {
        Some("stop") => Stopping::Stop,
        Some("restart" | "try-restart") => Stopping::Restart,
        // Another job: a start that took too long.
        Some(_) | None => Stopping::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::clock;

    // What systemd 252 (Debian 12) printed to a service of the name probe.service, on its SIGTERM.
    const ON_RESTART: &str = "134 probe.service restart running\n";
    const ON_STOP: &str = "184 probe.service stop running\n";
    const ON_REBOOT: &str = "\
499 basic.target                                                      stop  waiting
543 run-credentials-systemd\\x2dsysusers.service.mount                 stop  waiting
437 shutdown.target                                                   start waiting
492 dbus.socket                                                       stop  waiting
537 final.target                                                      start waiting
435 reboot.target                                                     start waiting
540 umount.target                                                     start waiting
436 systemd-reboot.service                                            start waiting
536 systemd-ask-password-wall.path                                    stop  waiting
497 probe.service                                                     stop  running
";
    /// On a signal by kill(1) there is no job.
    const ON_KILL: &str = "";

    #[test]
    fn reason_is_read_from_the_jobs() {
        for (jobs, why) in [
            (ON_RESTART, Stopping::Restart),
            (ON_STOP, Stopping::Stop),
            (ON_REBOOT, Stopping::SystemDown),
            (ON_KILL, Stopping::Unknown),
            ("184 other.service stop running\n", Stopping::Unknown),
            ("184 probe.service.d stop running\n", Stopping::Unknown),
            ("184 probe.service start running\n", Stopping::Unknown),
            ("No jobs running.\n", Stopping::Unknown),
            ("\n probe.service\n1\n1 probe.service", Stopping::Unknown),
        ] {
            assert_eq!(reason(jobs, "probe.service"), why, "{jobs}");
        }
    }

    #[test]
    fn unit_is_read_from_the_cgroup() {
        for (cgroup, unit) in [
            // cgroup v2
            ("0::/system.slice/standin.service\n", Some("standin.service")),
            // v1, as printed by a service under systemd 252
            ("9:name=systemd:/system.slice/probe.service\n8:pids:/\n1:cpu:/\n0::/\n", Some("probe.service")),
            // delegated, with a group of its own below
            ("0::/system.slice/standin.service/agent\n", Some("standin.service")),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("3:cpu:/system.slice/other.service\n0::/\n", None),
            ("", None),
            ("0\n0:\n::\n", None),
        ] {
            assert_eq!(unit_of(cgroup), unit, "{cgroup}");
        }
    }

    #[test]
    fn status_stays_one_line() {
        assert_eq!(one_line("active\nMAINPID=1\r"), "active MAINPID=1 ");
    }

    /// Run by the next test, in a process of its own: the environment belongs to the whole process.
    #[test]
    #[ignore = "needs NOTIFY_SOCKET and WATCHDOG_USEC of the test that runs it"]
    fn says_everything() {
        ready("up").unwrap();
        status("active\nfor ivr").unwrap();
        assert_eq!(watchdog_interval(), Some(Duration::from_secs(2)));
        watchdog().unwrap();
        stopping("handing over").unwrap();
    }

    #[test]
    fn systemd_hears_what_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let said = std::process::Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "agent::systemd::tests::says_everything"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "4000000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        let mut buffer = [0; 256];
        let mut heard = vec![];
        while let Ok(length) = socket.recv(&mut buffer) {
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        assert_eq!(
            heard,
            [
                "READY=1\nSTATUS=up\n",
                "STATUS=active for ivr\n",
                "WATCHDOG=1\n",
                "STOPPING=1\nSTATUS=handing over\n",
            ]
        );
    }

    fn shell(script: &str) -> Command {
        let mut ask = Command::new("sh");
        ask.args(["-c", script]);
        ask
    }

    #[tokio::test]
    async fn answer_comes_or_is_none() {
        assert_eq!(ask_for_jobs(shell("echo yes"), PATIENCE * 20).await.as_deref(), Some("yes\n"));
        assert_eq!(ask_for_jobs(shell("echo no; exit 1"), PATIENCE * 20).await, None);
        assert_eq!(ask_for_jobs(Command::new("/nowhere"), PATIENCE).await, None);
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 600", pid_file.display());
        let start = clock::now();
        assert_eq!(ask_for_jobs(shell(&script), Duration::from_millis(300)).await, None);
        assert!(clock::now().since(start) < Duration::from_secs(5));
        let pid = std::fs::read_to_string(pid_file).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        for _ in 0..100 {
            // Gone, or dead and waiting to be reaped.
            let dead = std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
            if dead {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} still runs", pid.trim());
    }
}
