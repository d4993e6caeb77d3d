//! The processes of a unit, as the kernel keeps them: in its cgroup. Killing them asks nobody, neither systemd
//! nor the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

/// Where systemd mounts the hierarchy in which it keeps its units: the unified one (v2), the unified one beside
/// v1's, v1's own. A unit may be in two of them.
const ROOTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// The cgroup of one unit.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cgroup {
    /// "/system.slice/asterisk.service", as systemd's `ControlGroup` says.
    path: String,
}

impl Cgroup {
    /// The cgroup of this unit, which systemd says is here.
    ///
    /// # Errors
    /// It cannot be that unit's, or the caller itself is in it: what is wrong.
    pub fn of_unit(unit: &str, path: &str) -> Result<Self, String> {
        let last = path.rsplit('/').next().unwrap_or_default();
        // systemd puts '_' before a name that would be taken for a file of the cgroup.
        let named = last == unit || last.strip_prefix('_') == Some(unit);
        if !named || !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(format!("{path:?} is not the cgroup of {unit}"));
        }
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if own.lines().any(|line| is_within(line.splitn(3, ':').nth(2).unwrap_or_default(), path)) {
            return Err(format!("this process is itself in {path}"));
        }
        Ok(Self { path: path.to_owned() })
    }

    /// Its path, below the root of the hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Kills what is in it now, cgroups below included; answers how many processes that were. It does not wait
    /// for their end: they are gone when this answers 0.
    ///
    /// # Errors
    /// The kernel refuses; what could be killed is killed all the same.
    pub fn kill(&self) -> io::Result<usize> {
        let mut killed = Ok(0);
        for folder in self.folders() {
            killed = match (killed, kill_below(&folder)) {
                (Ok(before), Ok(more)) => Ok(before.max(more)),
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        killed
    }

    /// How many processes are in it, cgroups below included.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn processes(&self) -> io::Result<usize> {
        let counts = self.folders().map(|folder| pids_below(&folder).map(|pids| pids.len()));
        counts.collect::<io::Result<Vec<_>>>().map(|counts| counts.into_iter().max().unwrap_or(0))
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let folders = ROOTS.map(|root| PathBuf::from(format!("{root}{}", self.path)));
        // A cgroup that is not there has no processes.
        folders.into_iter().filter(|folder| folder.join("cgroup.procs").exists())
    }
}

fn is_within(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn kill_below(folder: &Path) -> io::Result<usize> {
    let pids = pids_below(folder)?;
    // v2 since Linux 5.14: at one stroke, also what is being forked.
    if fs::write(folder.join("cgroup.kill"), "1").is_ok() {
        return Ok(pids.len());
    }
    let mut result = Ok(pids.len());
    for pid in pids {
        match kill_process(pid, Signal::KILL) {
            // It was faster.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => result = Err(error.into()),
        }
    }
    result
}

/// The processes in a cgroup and in those below it. What vanishes meanwhile has no processes.
fn pids_below(folder: &Path) -> io::Result<Vec<Pid>> {
    let mut pids = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        match fs::read_to_string(folder.join("cgroup.procs")) {
            Ok(procs) => pids.extend(procs.lines().filter_map(|pid| Pid::from_raw(pid.trim().parse().ok()?))),
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    Ok(pids)
}

fn is_gone(error: &io::Error) -> bool {
    // ENODEV: the cgroup was removed while its file was open.
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_that_of_its_unit_and_of_nothing_else() {
        let of = |path: &str| Cgroup::of_unit("pbx.service", path);
        for good in ["/system.slice/pbx.service", "/pbx.service", "/system.slice/_pbx.service"] {
            assert_eq!(of(good).unwrap().path(), good);
        }
        for bad in [
            "",
            "/",
            "pbx.service",
            "/system.slice",
            "/system.slice/other.service",
            "/system.slice/pbx.service/",
            "/a/../pbx.service",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn within_is_by_whole_names() {
        assert!(is_within("/a/b", "/a/b") && is_within("/a/b/c", "/a/b"));
        assert!(!is_within("/a/bc", "/a/b") && !is_within("/a", "/a/b"));
    }

    #[test]
    fn a_cgroup_that_is_not_there_is_empty() {
        let none = Cgroup::of_unit("none.service", "/standin-nowhere.slice/none.service").unwrap();
        assert_eq!((none.processes().unwrap(), none.kill().unwrap()), (0, 0));
    }
}
