//! A systemd unit: its state, its start, its stop in bounded time. systemd is asked through systemctl, and
//! never trusted to answer.

use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::cgroup::Cgroup;

/// systemd answers a question within milliseconds; longer than this is no answer.
const ANSWER: Duration = Duration::from_secs(2);
/// How often a killed cgroup is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A killed process is gone within this, unless the kernel holds it.
const GONE: Duration = Duration::from_secs(1);

/// What is asked about a unit.
const PROPERTIES: &[&str] = &["LoadState", "ActiveState", "UnitFileState", "ControlGroup", "Slice"];
/// The slice that all others are in.
const ROOT_SLICE: &str = "-.slice";

/// One unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unit {
    name: String,
}

/// What systemd says of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Shown {
    /// Its cgroup: where it is, or where it will be.
    pub cgroup: Cgroup,
    /// "active", "inactive", "failed", "activating", …
    pub state: String,
    /// systemd starts it when the machine boots.
    pub at_boot: bool,
}

/// Why something could not be done with a unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum UnitError {
    /// systemctl did not end within this.
    NoAnswer {
        /// What it was to do.
        what: String,
        /// How long it had.
        after: Duration,
    },
    /// systemctl failed, or could not be run.
    Failed {
        /// What it was to do.
        what: String,
        /// What it said.
        said: String,
    },
    /// systemd does not have the unit: its `LoadState`.
    NotThere {
        /// Which.
        unit: String,
        /// "not-found", "masked", "bad-setting".
        state: String,
    },
    /// What systemd says of its cgroup makes no sense.
    Cgroup(String),
    /// It was killed, and so many processes are still there.
    StillThere {
        /// Which.
        unit: String,
        /// How many.
        processes: usize,
    },
}

impl Unit {
    /// The unit of this name, "asterisk.service".
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What systemd says of it.
    ///
    /// # Errors
    /// No answer in time, or there is no such unit.
    pub async fn show(&self) -> Result<Shown, UnitError> {
        let said = show(&self.name, PROPERTIES).await?;
        let of = |key: &str| property(&said, key).unwrap_or_default().to_owned();
        if of("LoadState") != "loaded" {
            return Err(UnitError::NotThere { unit: self.name.clone(), state: of("LoadState") });
        }
        let mut path = of("ControlGroup");
        if path.is_empty() {
            // It does not run: then it has none yet, but its slice says where it will be.
            path = format!("{}/{}", slice(&of("Slice")).await?, self.name);
        }
        let cgroup = Cgroup::of_unit(&self.name, &path).map_err(UnitError::Cgroup)?;
        // "enabled-runtime" lasts until the next boot only.
        Ok(Shown { cgroup, state: of("ActiveState"), at_boot: of("UnitFileState") == "enabled" })
    }

    /// Starts it, and waits until it has started.
    ///
    /// # Errors
    /// It did not start, or not within `bound`.
    pub async fn start(&self, bound: Duration) -> Result<(), UnitError> {
        systemctl(&["start", "--quiet", "--", &self.name], bound).await.map(drop)
    }

    /// Stops it: when it has not stopped within `bound`, it is killed. Then nothing of it runs any more.
    ///
    /// # Errors
    /// Something of it may still run.
    pub async fn stop(&self, cgroup: Option<&Cgroup>, bound: Duration) -> Result<(), UnitError> {
        let stopped = systemctl(&["stop", "--quiet", "--", &self.name], bound).await;
        // What its own stop leaves behind (KillMode=process, say) has stopped too then.
        let Some(cgroup) = cgroup else { return stopped.map(drop) };
        self.kill(cgroup).await?;
        match stopped {
            // systemd has not been told, so that `Restart=` may bring back what was killed.
            Err(error @ UnitError::Failed { .. }) if !self.is_down().await => Err(error),
            // Told, it goes on with the stop by itself.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether systemd says that it does not run, and is not about to.
    async fn is_down(&self) -> bool {
        match self.show().await {
            Ok(shown) => matches!(shown.state.as_str(), "inactive" | "failed"),
            Err(error) => matches!(error, UnitError::NotThere { .. }),
        }
    }

    /// Kills all that is in its cgroup, until nothing is.
    async fn kill(&self, cgroup: &Cgroup) -> Result<(), UnitError> {
        let kill = || cgroup.kill().map_err(|error| UnitError::Cgroup(format!("{}: {error}", cgroup.path())));
        let mut left = kill()?;
        let until_gone = async {
            while left > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
                left = kill()?;
            }
            Ok(())
        };
        match timeout(GONE, until_gone).await {
            Ok(result) => result,
            Err(_elapsed) => Err(UnitError::StillThere { unit: self.name.clone(), processes: left }),
        }
    }
}

/// Where a slice is; one that nothing is in has no cgroup yet, but its name says where that will be.
async fn slice(name: &str) -> Result<String, UnitError> {
    let of = async |unit: &str| {
        let shown = show(unit, &["ControlGroup"]).await?;
        Ok(property(&shown, "ControlGroup").unwrap_or_default().trim_end_matches('/').to_owned())
    };
    let path: String = of(name).await?;
    if !path.is_empty() || name == ROOT_SLICE {
        return Ok(path);
    }
    Ok(of(ROOT_SLICE).await? + &below_root(name))
}

/// A slice's place below the root slice: "a-b.slice" is in "a.slice" (systemd.slice(5)).
fn below_root(slice: &str) -> String {
    let name = slice.strip_suffix(".slice").unwrap_or(slice);
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    ends.map(|end| format!("/{}.slice", &name[..end])).collect()
}

async fn show(unit: &str, properties: &[&str]) -> Result<String, UnitError> {
    let properties = format!("--property={}", properties.join(","));
    systemctl(&["show", "--no-pager", &properties, "--", unit], ANSWER).await
}

async fn systemctl(words: &[&str], bound: Duration) -> Result<String, UnitError> {
    run("systemctl", words, bound).await
}

/// Runs a program of systemd's; answers what it printed.
///
/// # Errors
/// It failed, or took longer than `bound`.
pub async fn run(program: &str, words: &[&str], bound: Duration) -> Result<String, UnitError> {
    let what = || format!("{program} {}", words.join(" "));
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).env("LC_ALL", "C").kill_on_drop(true);
    let failed = |said: String| UnitError::Failed { what: what(), said };
    match timeout(bound, command.output()).await {
        Err(_elapsed) => Err(UnitError::NoAnswer { what: what(), after: bound }),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(output)) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(Ok(output)) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            Err(failed(if said.is_empty() { output.status.to_string() } else { said }))
        }
    }
}

fn property<'a>(shown: &'a str, key: &str) -> Option<&'a str> {
    shown.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer { what, after } => {
                write!(f, "`{what}` did not end within {}", humantime::format_duration(*after))
            }
            Self::Failed { what, said } => write!(f, "`{what}` failed: {}", said.escape_debug()),
            Self::NotThere { unit, state } => write!(
                f,
                "systemd has no usable unit {unit} ({state}): `systemctl status {unit}` says more; group.service.unit \
                 names it"
            ),
            Self::Cgroup(text) => f.write_str(text),
            Self::StillThere { unit, processes } => {
                write!(f, "{unit} was killed, and {processes} of its processes are still there")
            }
        }
    }
}

impl std::error::Error for UnitError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_lines() {
        // As systemd 252 prints it for a unit that does not run.
        let shown = "Slice=system.slice\nControlGroup=\nLoadState=loaded\nActiveState=inactive\n";
        assert_eq!(property(shown, "Slice"), Some("system.slice"));
        assert_eq!(property(shown, "ControlGroup"), Some(""));
        assert_eq!(property(shown, "Load"), None);
    }

    #[test]
    fn a_slice_is_in_the_slices_that_its_name_begins_with() {
        // systemd.slice(5): "foo-bar.slice is located within foo.slice, which in turn is located in the root slice".
        assert_eq!(below_root("system.slice"), "/system.slice");
        assert_eq!(below_root("foo-bar-x.slice"), "/foo.slice/foo-bar.slice/foo-bar-x.slice");
    }

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_is_missing_says_so() {
        let second = Duration::from_secs(20);
        assert_eq!(run("sh", &["-c", "echo yes"], second).await.as_deref(), Ok("yes\n"));
        let failed = run("sh", &["-c", "echo no >&2; exit 3"], second).await.unwrap_err();
        assert!(failed.to_string().ends_with("failed: no"), "{failed}");
        let missing = run("/nowhere/systemctl", &["stop"], second).await.unwrap_err();
        assert!(missing.to_string().contains("No such file"), "{missing}");
        let hangs = run("sleep", &["600"], Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(hangs.to_string(), "`sleep 600` did not end within 50ms");
    }
}
