//! What survives the agent: a few facts per group in `state.json`. Losing them is harmless, so no trouble with
//! the file ever keeps the agent from starting: it is reported, and the agent goes on without.
//!
//! These functions wait for the disk: never call them from the heartbeat loop.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const FILE: &str = "state.json";
const SCRATCH: &str = "state.json.new";
/// A good file has some kilobytes; more is not ours.
const MAX_LENGTH: u64 = 1 << 20;
/// So many corrupt files are kept; the last place is overwritten.
const MAX_CORRUPT: u32 = 9;

/// The durable state. Groups by name: numbers change when the configuration does.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct State {
    /// The boot of the machine in which the state was written: times since boot mean nothing in another one.
    pub boot: String,
    /// What is known about each group.
    pub groups: BTreeMap<String, GroupState>,
}

/// What is kept of one group.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct GroupState {
    /// The highest term that this node has seen.
    pub term: u64,
    /// The maintenance setting.
    pub maintenance: MaintenanceState,
    /// The operator has put this node on standby: it does not take the group.
    pub standby: bool,
    /// Takeovers by silence in the last hour, in nanoseconds since boot.
    pub silent_takeovers: Vec<u64>,
    /// How often the service has failed here.
    pub fail_count: u32,
    /// When it last failed, in nanoseconds since boot.
    pub failed_at: Option<u64>,
    /// Nodes that are being restarted: EC2 was told to stop them, and is still to be told to start them.
    pub restarting: Vec<String>,
}

/// The maintenance setting of a group; the higher version wins.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct MaintenanceState {
    /// Grows with each change.
    pub version: u64,
    /// Whether it is on.
    pub on: bool,
}

/// The place of the durable state.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
}

/// What went wrong with the file: a warning, with path and remedy.
#[derive(Debug)]
pub enum Trouble {
    /// The file is there, and cannot be read.
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file's content is no state of ours.
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Why it is not.
        why: String,
        /// Where it was moved, if it could be.
        kept_as: Option<PathBuf>,
    },
    /// The state cannot be written.
    Unwritable {
        /// Which folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Store {
    /// A store in this folder, which is made if it is not there.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Reads the state, with what was wrong with it: nothing, usually. Where there is no file, or none that
    /// can be read, the state is empty. A corrupt file is moved aside. A folder that cannot be written to is reported
    /// now rather than with the first takeover.
    pub fn load(&self) -> (State, Vec<Trouble>) {
        let (state, read) = match self.read() {
            Ok(state) => (state, None),
            Err(trouble) => (State::default(), trouble),
        };
        // What cannot be read now may be read after a repair: it is left as it is for as long as possible.
        let unreadable = matches!(read, Some(Trouble::Unreadable { .. }));
        let written = if unreadable { None } else { self.save(&state).err() };
        (state, read.into_iter().chain(written).collect())
    }

    /// Writes the state: after a power cut the file is the old one or the new one.
    ///
    /// # Errors
    /// [`Trouble::Unwritable`].
    pub fn save(&self, state: &State) -> Result<(), Trouble> {
        self.replace(state).map_err(|source| Trouble::Unwritable { dir: self.dir.clone(), source })
    }

    /// `Err(None)`: there is no file.
    fn read(&self) -> Result<State, Option<Trouble>> {
        let path = self.dir.join(FILE);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_LENGTH + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(None),
            // Writing will say so.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(None),
            Err(source) => return Err(Some(Trouble::Unreadable { path, source })),
        }
        let parsed = if bytes.len() as u64 > MAX_LENGTH {
            Err("it is longer than 1 MiB".to_owned())
        } else {
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        };
        parsed.map_err(|why| {
            let kept_as = self.move_aside(&path);
            Some(Trouble::Corrupt { path, why, kept_as })
        })
    }

    /// Gives the corrupt file a name that is free, while there is one.
    fn move_aside(&self, path: &Path) -> Option<PathBuf> {
        let name = |n: u32| self.dir.join(format!("{FILE}.corrupt-{n}"));
        let free =
            (1..MAX_CORRUPT).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(MAX_CORRUPT));
        fs::rename(path, &free).ok().map(|()| free)
    }

    fn replace(&self, state: &State) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let (scratch, path) = (self.dir.join(SCRATCH), self.dir.join(FILE));
        let mut bytes = serde_json::to_vec_pretty(state)?;
        bytes.push(b'\n');
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&scratch)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, &path)?;
        // The new name is on the disk once the folder is.
        File::open(&self.dir)?.sync_all()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LOST: &str = "terms, maintenance and standby start anew, peers will tell what they know";
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read {}: {source}; {LOST}. Check its owner and mode (0600)", path.display())
            }
            Self::Corrupt { path, why, kept_as } => {
                write!(f, "{} is corrupt: {why}; {LOST}. ", path.display())?;
                match kept_as {
                    Some(kept) => {
                        write!(f, "It was moved to {}; delete that when you have seen it", kept.display())
                    }
                    None => write!(f, "It could not be moved aside; delete it"),
                }
            }
            Self::Unwritable { dir, source } => write!(
                f,
                "cannot write the state to {}: {source}; a restart of the agent will forget maintenance \
                 and standby. Make the folder writable for the agent, or set state-dir to one that is",
                dir.display()
            ),
        }
    }
}

impl std::error::Error for Trouble {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Unwritable { source, .. } => Some(source),
            Self::Corrupt { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn state(term: u64) -> State {
        let maintenance = MaintenanceState { version: 2, on: true };
        let group = GroupState {
            term,
            maintenance,
            standby: true,
            silent_takeovers: vec![9],
            ..GroupState::default()
        };
        State { boot: "b".into(), groups: BTreeMap::from([("ivr".to_owned(), group)]) }
    }

    fn loaded(dir: &Path) -> (State, Vec<String>) {
        let (state, troubles) = Store::new(dir).load();
        (state, troubles.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("var/lib/standin");
        assert_eq!(loaded(&place), (State::default(), vec![]));
        for term in [1, u64::MAX] {
            Store::new(&place).save(&state(term)).unwrap();
            assert_eq!(loaded(&place), (state(term), vec![]));
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join(FILE))), (0o700, 0o600));
        assert!(!place.join(SCRATCH).exists());
    }

    #[test]
    fn other_versions_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"new": [], "groups": {"ivr": {"term": 3, "fail-count": 1}, "nat": {}}}"#;
        fs::write(dir.path().join(FILE), text).unwrap();
        let (state, troubles) = loaded(dir.path());
        assert_eq!(troubles, [""; 0]);
        assert_eq!(state.groups["ivr"], GroupState { term: 3, ..GroupState::default() });
        assert_eq!(state.groups["nat"], GroupState::default());
    }

    #[test]
    fn corrupt_file_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for (n, text) in ["", "{", "{\"groups\": 7}", "\0\0\0\0", "{}{}"].iter().enumerate() {
            fs::write(&path, text).unwrap();
            let (state, troubles) = loaded(dir.path());
            assert_eq!(state, State::default());
            let kept = dir.path().join(format!("{FILE}.corrupt-{}", n + 1));
            assert_eq!(fs::read_to_string(&kept).unwrap(), *text);
            assert_eq!(troubles.len(), 1);
            assert!(troubles[0].contains(&format!("moved to {}", kept.display())), "{troubles:?}");
        }
        assert_eq!(loaded(dir.path()), (State::default(), vec![]));
    }

    #[test]
    fn corrupt_files_do_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..20 {
            fs::write(dir.path().join(FILE), format!("no {n}")).unwrap();
            assert_eq!(loaded(dir.path()).1.len(), 1);
        }
        // The state, and the corrupt ones; the newest is among them.
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + MAX_CORRUPT as usize);
        assert_eq!(fs::read_to_string(dir.path().join("state.json.corrupt-9")).unwrap(), "no 19");
    }

    #[test]
    fn huge_file_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join(FILE)).unwrap().set_len(1 << 40).unwrap();
        assert!(loaded(dir.path()).1[0].contains("longer than 1 MiB"));
    }

    #[test]
    fn folder_that_cannot_be_written_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        // Root may write anywhere, but not below a file.
        let (state, troubles) = loaded(&file.join("standin"));
        assert_eq!(state, State::default());
        assert!(troubles.last().unwrap().starts_with("cannot write the state to "), "{troubles:?}");
        assert!(troubles.last().unwrap().contains("set state-dir"), "{troubles:?}");
    }

    #[test]
    fn file_that_cannot_be_read_is_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        let (state, troubles) = loaded(dir.path());
        assert_eq!(state, State::default());
        assert!(troubles[0].starts_with("cannot read "), "{troubles:?}");
        assert_eq!(troubles.len(), 1);
    }

    #[test]
    fn torn_write_leaves_the_old_state() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        store.save(&state(5)).unwrap();
        fs::write(dir.path().join(SCRATCH), "{\"groups\": {\"iv").unwrap();
        assert_eq!(loaded(dir.path()), (state(5), vec![]));
        store.save(&state(6)).unwrap();
        assert_eq!(loaded(dir.path()).0, state(6));
    }
}
