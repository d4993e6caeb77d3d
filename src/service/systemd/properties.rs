//! What systemd says of a unit at one moment, and what that means.

use std::collections::HashMap;

use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::bus::Bus;
use super::error::UnitError;
use crate::service::cgroup::Cgroup;
use crate::service::state::{Shown, State};

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const SLICE: &str = "org.freedesktop.systemd1.Slice";
/// The slice that all others are in.
const ROOT_SLICE: &str = "-.slice";

/// What systemd says of a unit at one moment: the properties of these names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Properties {
    pub(super) unit: String,
    pub(super) load_state: String,
    pub(super) active_state: String,
    pub(super) sub_state: String,
    pub(super) unit_file_state: String,
    /// The number of a job that is under way or waits; zero: none.
    pub(super) job: u32,
    pub(super) result: String,
    pub(super) exec_main_code: i32,
    pub(super) exec_main_status: i32,
    pub(super) restarts: u32,
    pub(super) control_group: String,
    pub(super) slice: String,
}

impl Properties {
    pub(super) async fn read(bus: &Bus, name: &str) -> Result<Self, UnitError> {
        let path = bus.unit(name).await?;
        let unit = bus.properties(&path, UNIT).await?;
        let service = bus.properties(&path, SERVICE).await?;
        let job: Option<(u32, OwnedObjectPath)> = take(&unit, "Job");
        Ok(Self {
            unit: name.to_owned(),
            load_state: take(&unit, "LoadState").unwrap_or_default(),
            active_state: take(&unit, "ActiveState").unwrap_or_default(),
            sub_state: take(&unit, "SubState").unwrap_or_default(),
            unit_file_state: take(&unit, "UnitFileState").unwrap_or_default(),
            job: job.map_or(0, |(number, _)| number),
            result: take(&service, "Result").unwrap_or_default(),
            exec_main_code: take(&service, "ExecMainCode").unwrap_or_default(),
            exec_main_status: take(&service, "ExecMainStatus").unwrap_or_default(),
            restarts: take(&service, "NRestarts").unwrap_or_default(),
            control_group: take(&service, "ControlGroup").unwrap_or_default(),
            slice: take(&service, "Slice").unwrap_or_default(),
        })
    }

    pub(super) fn state(&self) -> State {
        match self.active_state.as_str() {
            "active" | "reloading" | "refreshing" => State::Runs { degraded: None },
            "activating" => State::Starts,
            "deactivating" => State::Stops,
            // An operator's restart, between its two halves: it is not down, it is about to come up.
            "inactive" | "failed" if self.job != 0 => State::Starts,
            "inactive" if self.load_state == "loaded" => State::Stopped,
            "inactive" => State::Failed(self.not_there().to_string()),
            "failed" | "maintenance" => State::Failed(self.why()),
            other => State::Unknown(format!("systemd says that it is {:?}", other)),
        }
    }

    /// It has died, and systemd is about to start it again by its own `Restart=`.
    pub(super) fn restarts_itself(&self) -> bool {
        self.active_state == "activating" && self.sub_state.starts_with("auto-restart")
    }

    /// Why it does not run, as far as systemd knows.
    pub(super) fn why(&self) -> String {
        // As waitid(2) has them: CLD_EXITED, CLD_KILLED, CLD_DUMPED.
        let end = match self.exec_main_code {
            1 => Some(format!("exit code {}", self.exec_main_status)),
            2 => Some(format!("killed by {}", signal(self.exec_main_status))),
            3 => Some(format!("killed by {}, core dumped", signal(self.exec_main_status))),
            _ => None,
        };
        // systemd.exec(5), $SERVICE_RESULT.
        match (self.result.as_str(), end) {
            ("exit-code" | "signal" | "core-dump", Some(end)) => end,
            ("success", Some(end)) if self.exec_main_code == 1 => format!("it has ended, {end}"),
            ("success", _) => "it has stopped".to_owned(),
            ("oom-kill", _) => "killed for want of memory (oom-kill)".to_owned(),
            ("watchdog", _) => "its watchdog was not fed (watchdog)".to_owned(),
            ("timeout", _) => "it did not start or stop in time (timeout)".to_owned(),
            ("start-limit-hit", _) => "it was started too often (start-limit-hit)".to_owned(),
            ("protocol", _) => "it ended without a word, or without its PID file (protocol)".to_owned(),
            ("resources", _) => "systemd could not start it (resources)".to_owned(),
            ("exec-condition", _) => "its ExecCondition= was not met (exec-condition)".to_owned(),
            (other, Some(end)) => format!("{other}, {end}"),
            (other, None) => other.to_owned(),
        }
    }

    fn not_there(&self) -> UnitError {
        UnitError::NotThere { unit: self.unit.clone(), state: self.load_state.clone() }
    }

    /// Its cgroup, and whether it starts at boot.
    pub(super) async fn shown(&self, bus: &Bus) -> Result<Shown, UnitError> {
        if self.load_state != "loaded" {
            return Err(self.not_there());
        }
        let mut path = self.control_group.clone();
        if path.is_empty() {
            // It does not run: then it has none yet, but its slice says where it will be.
            path = format!("{}/{}", slice(bus, &self.slice).await?, self.unit);
        }
        let cgroup = Cgroup::of_unit(&self.unit, &path).map_err(UnitError::Cgroup)?;
        // "enabled-runtime" lasts until the next boot only.
        Ok(Shown { cgroup, at_boot: self.unit_file_state == "enabled" })
    }
}

fn take<T: TryFrom<OwnedValue>>(from: &HashMap<String, OwnedValue>, name: &str) -> Option<T> {
    T::try_from(from.get(name)?.try_clone().ok()?).ok()
}

/// Where a slice is; one that nothing is in has no cgroup yet, but its name says where that will be.
async fn slice(bus: &Bus, name: &str) -> Result<String, UnitError> {
    let of = async |unit: &str| {
        let path = bus.unit(unit).await?;
        let said: String = take(&bus.properties(&path, SLICE).await?, "ControlGroup").unwrap_or_default();
        Ok::<_, UnitError>(said.trim_end_matches('/').to_owned())
    };
    let path = of(name).await?;
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

/// The name of a signal (signal(7), x86-64 and ARM).
fn signal(number: i32) -> String {
    const NAMES: [&str; 15] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
        "ALRM", "TERM",
    ];
    let name = usize::try_from(number - 1).ok().and_then(|place| NAMES.get(place));
    name.map_or_else(|| format!("signal {number}"), |name| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(active: &str, sub: &str) -> Properties {
        Properties {
            unit: "pbx.service".into(),
            load_state: "loaded".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            result: "success".into(),
            ..Properties::default()
        }
    }

    #[test]
    fn states_are_told_apart() {
        let state = |active: &str, sub: &str| of(active, sub).state();
        assert_eq!(state("active", "running"), State::Runs { degraded: None });
        assert_eq!(state("reloading", "reload"), State::Runs { degraded: None });
        assert_eq!(state("activating", "auto-restart"), State::Starts);
        assert_eq!(state("deactivating", "stop-sigterm"), State::Stops);
        assert_eq!(state("inactive", "dead"), State::Stopped);
        assert!(matches!(state("failed", "failed"), State::Failed(_)));
        assert!(matches!(state("", ""), State::Unknown(_)));
        assert!(of("activating", "auto-restart-queued").restarts_itself());
        assert!(!of("activating", "start").restarts_itself());
        // The middle of `systemctl restart`.
        assert_eq!(Properties { job: 7, ..of("inactive", "dead") }.state(), State::Starts);
        let absent = Properties { load_state: "not-found".into(), ..of("inactive", "dead") }.state();
        assert!(
            matches!(absent, State::Failed(why) if why.contains("no usable unit pbx.service (not-found)"))
        );
    }

    #[test]
    fn an_end_is_said_in_words() {
        let why = |result: &str, code, status| {
            let result = result.to_owned();
            Properties { result, exec_main_code: code, exec_main_status: status, ..of("failed", "failed") }
                .why()
        };
        assert_eq!(why("exit-code", 1, 1), "exit code 1");
        assert_eq!(why("signal", 2, 9), "killed by SIGKILL");
        assert_eq!(why("core-dump", 3, 11), "killed by SIGSEGV, core dumped");
        assert_eq!(why("signal", 2, 34), "killed by signal 34");
        assert_eq!(why("oom-kill", 2, 9), "killed for want of memory (oom-kill)");
        assert_eq!(why("success", 1, 0), "it has ended, exit code 0");
        assert_eq!(why("success", 0, 0), "it has stopped");
        assert_eq!(why("something-new", 1, 2), "something-new, exit code 2");
    }

    #[test]
    fn a_slice_is_in_the_slices_that_its_name_begins_with() {
        // systemd.slice(5): "foo-bar.slice is located within foo.slice, which in turn is located in the root slice".
        assert_eq!(below_root("system.slice"), "/system.slice");
        assert_eq!(below_root("foo-bar-x.slice"), "/foo.slice/foo-bar.slice/foo-bar-x.slice");
    }
}
