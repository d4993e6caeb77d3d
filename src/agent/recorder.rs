//! Every input of the core as one JSON line, in a ring of two files: how an incident can be read afterwards.
//! A thread of its own writes; when the disk is too slow, lines are dropped and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::json;

use crate::cluster::{Command, Event, Notice, Time};

/// Each of the two files grows to this, in bytes.
const FILE_BYTES: u64 = 8 << 20;
/// So many lines may wait for the disk.
const WAITING: usize = 2048;
/// So many inputs of one second are recorded: a flood must not wash everything else out of the ring.
const INPUTS_A_SECOND: u32 = 400;
/// What waits in memory is written at the latest after this.
const FLUSH_AFTER: Duration = Duration::from_secs(1);

/// The heart's side. Nothing here waits.
#[derive(Debug)]
pub(super) struct Recorder {
    to: Option<SyncSender<Entry>>,
    dropped: Arc<AtomicU64>,
    /// The present second, and how many inputs it has had.
    second: (u64, u32),
}

/// One line.
#[derive(Debug)]
enum Entry {
    Input(Time, Event),
    Told(Time, Notice),
    Command(Time, String),
}

impl Recorder {
    /// A recorder that records nothing.
    pub(super) fn off() -> Self {
        Self { to: None, dropped: Arc::default(), second: (0, 0) }
    }

    /// Records into `record-0.jsonl` and `record-1.jsonl` of this folder, whichever is the older one first.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let ring = Ring::open(folder)?;
        let (to, from) = sync_channel(WAITING);
        std::thread::Builder::new().name("recorder".into()).spawn(move || write_all(ring, &from))?;
        Ok(Self { to: Some(to), dropped: Arc::default(), second: (0, 0) })
    }

    /// How many lines were dropped; the count goes on with the recorder.
    pub(super) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }

    pub(super) fn input(&mut self, event: &Event, now: Time) {
        let second = now.as_nanos() / 1_000_000_000;
        let (present, count) = self.second;
        self.second = if second == present { (present, count.saturating_add(1)) } else { (second, 1) };
        if self.to.is_some() && self.second.1 > INPUTS_A_SECOND {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.put(|| Entry::Input(now, event.clone()));
    }

    /// What the core wants; heartbeats follow from the inputs and are left out.
    pub(super) fn command(&self, command: &Command, now: Time) {
        match command {
            Command::Send(_) => {}
            Command::Tell(notice) => self.put(|| Entry::Told(now, notice.clone())),
            Command::ReadAnchor { .. }
            | Command::ReadInstance { .. }
            | Command::TakeAnchor { .. }
            | Command::WriteCounter { .. }
            | Command::WriteOwnTag { .. }
            | Command::Fence { .. }
            | Command::Probe { .. }
            | Command::ReadLease { .. }
            | Command::WriteLease { .. }
            | Command::Guard { .. }
            | Command::Converge { .. }
            | Command::Store { .. }
            | Command::Exit => self.put(|| Entry::Command(now, format!("{command:?}"))),
        }
    }

    fn put(&self, entry: impl FnOnce() -> Entry) {
        let Some(to) = &self.to else { return };
        if to.try_send(entry()).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(mut ring: Ring, from: &Receiver<Entry>) {
    loop {
        match from.recv_timeout(FLUSH_AFTER) {
            // The disk is full, say: what cannot be written is lost, and what follows is tried.
            Ok(entry) => drop(ring.write(&line(&entry))),
            Err(RecvTimeoutError::Timeout) => drop(ring.file.flush()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let _flushed = ring.file.flush();
}

fn line(entry: &Entry) -> String {
    let (at, kind, text) = match entry {
        Entry::Input(at, event) => (at, "input", format!("{event:?}")),
        Entry::Told(at, notice) => (at, "told", format!("{}: {}", notice.id, notice.text)),
        Entry::Command(at, command) => (at, "command", command.clone()),
    };
    json!({ "at_ns": at.as_nanos(), kind: text }).to_string()
}

#[derive(Debug)]
struct Ring {
    folder: PathBuf,
    place: usize,
    file: BufWriter<File>,
    written: u64,
}

impl Ring {
    fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let age = |place| std::fs::metadata(name(folder, place)).and_then(|it| it.modified()).ok();
        // Without a file there is no time, and None is the smallest.
        let place = usize::from(age(1) < age(0));
        Ok(Self { folder: folder.to_owned(), place, file: create(folder, place)?, written: 0 })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.written >= FILE_BYTES {
            self.file.flush()?;
            self.place = 1 - self.place;
            self.file = create(&self.folder, self.place)?;
            self.written = 0;
        }
        self.written += line.len() as u64 + 1;
        self.file.write_all(line.as_bytes())?;
        self.file.write_all(b"\n")
    }
}

fn name(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("record-{place}.jsonl"))
}

fn create(folder: &Path, place: usize) -> io::Result<BufWriter<File>> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(name(folder, place))?;
    Ok(BufWriter::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_lines_and_the_older_file_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        for place in [0, 1, 0] {
            let mut recorder = Recorder::start(folder.path()).unwrap();
            recorder.input(&Event::Ticked, Time::from_nanos(7));
            recorder.command(&Command::Exit, Time::from_nanos(8));
            drop(recorder);
            let path = name(folder.path(), place);
            let expected = "{\"at_ns\":7,\"input\":\"Ticked\"}\n{\"at_ns\":8,\"command\":\"Exit\"}\n";
            let written = || std::fs::read_to_string(&path).unwrap_or_default();
            for _ in 0..200 {
                if written() == expected {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            assert_eq!(written(), expected);
            // Ages are compared by the file system's clock, which has steps.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_flood_leaves_room_for_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::start(folder.path()).unwrap();
        (0..1000).for_each(|_| recorder.input(&Event::Ticked, Time::from_nanos(7)));
        recorder.input(&Event::Ticked, Time::from_nanos(1_000_000_007));
        assert_eq!(recorder.dropped().load(Ordering::Relaxed), 600);
    }

    #[test]
    fn the_ring_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let mut ring = Ring::open(folder.path()).unwrap();
        let long = "x".repeat(1 << 20);
        (0..30).for_each(|_| ring.write(&long).unwrap());
        ring.file.flush().unwrap();
        let size = |place| std::fs::metadata(name(folder.path(), place)).unwrap().len();
        assert!(size(0) + size(1) <= 2 * (FILE_BYTES + (1 << 20) + 64));
        assert!(size(0).min(size(1)) > 0);
    }
}
