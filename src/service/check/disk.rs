//! A small file is written, flushed to the disk and read again. A disk that hangs holds its thread in the kernel for
//! as long as it likes; so that is a thread of its own, and there is never a second one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};
use tokio::sync::oneshot;

use super::{Outcome, of_error};

/// How much is written, in bytes.
const LENGTH: usize = 4096;

/// The disk's thread, if one is under way.
#[derive(Debug, Default)]
pub(super) struct Disk {
    under_way: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Disk {
    /// Tries the folder, for as long as it is polled. What does not end by then is waited for by the next call, and
    /// only then tried again.
    pub(super) async fn try_out(&mut self, folder: &Path, name: &str) -> Outcome {
        if let Some(late) = &mut self.under_way {
            // How it went is no news any more.
            let _result = late.await;
            self.under_way = None;
        }
        let (done, under_way) = oneshot::channel();
        let path = folder.join(format!(".standin-{name}-{}", std::process::id()));
        let thread = std::thread::Builder::new().name("disk".into()).spawn(move || {
            // Nobody waits for it any more: then this check is gone.
            let _unheard = done.send(write_and_read(&path));
        });
        if let Err(error) = thread {
            return Outcome::Unknown(format!("no thread: {error}"));
        }
        let result = self.under_way.insert(under_way).await;
        self.under_way = None;
        match result {
            Ok(Ok(())) => Outcome::Ok,
            Ok(Err(error)) => of_error(&error),
            Err(_gone) => Outcome::Unknown("the thread has ended without a word".into()),
        }
    }
}

fn write_and_read(path: &PathBuf) -> io::Result<()> {
    // What a process before us may have left, or somebody else put there.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let result = round_trip(file);
    let removed = fs::remove_file(path);
    result.and(removed)
}

fn round_trip(mut file: File) -> io::Result<()> {
    let mut written = vec![0; LENGTH];
    getrandom::fill(&mut written).map_err(|error| io::Error::other(error.to_string()))?;
    file.write_all(&written)?;
    file.sync_all()?;
    // Else it would be read from memory. Not every file system takes the advice.
    let _taken = fadvise(&file, 0, None, Advice::DontNeed);
    file.rewind()?;
    let mut read = Vec::with_capacity(LENGTH);
    file.read_to_end(&mut read)?;
    if read == written { Ok(()) } else { Err(io::Error::other("it reads other bytes than were written")) }
}

#[cfg(test)]
impl Disk {
    /// Puts a thread under way that ends when it is released.
    pub(super) fn hold_up(&mut self, name: &str, release: std::sync::mpsc::Receiver<()>) {
        let (done, under_way) = oneshot::channel();
        let held = move || {
            let _released = release.recv();
            let _unheard = done.send(Ok(()));
        };
        std::thread::Builder::new().name(name.into()).spawn(held).unwrap();
        self.under_way = Some(under_way);
    }
}
