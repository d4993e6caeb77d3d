//! Two files of bounded size: when one is full, the other is overwritten. These functions wait for the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::line::{Encoder, Line};
use super::{FORMAT, Header};

/// Each of the two files grows to this, in bytes, and a little beyond.
pub const FILE_BYTES: u64 = 8 << 20;

/// The writing side.
#[derive(Debug)]
pub struct Ring {
    folder: PathBuf,
    place: usize,
    file: BufWriter<File>,
    written: u64,
    encoder: Encoder,
}

/// The files of a ring in this folder.
pub fn files(folder: &Path) -> [PathBuf; 2] {
    [0, 1].map(|place| folder.join(format!("record-{place}.jsonl")))
}

impl Ring {
    /// Opens the ring in this folder, which is made if it is not there. The newer file is continued, if there is
    /// room in it: restarts do not wash out what was before them.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let age = |place: usize| std::fs::metadata(&files(folder)[place]).and_then(|it| it.modified()).ok();
        // Without a file there is no time, and None is the smallest.
        let newer = usize::from(age(1) > age(0));
        let (place, file, written) = match proceed(&files(folder)[newer])? {
            Some((file, written)) => (newer, file, written),
            None if age(newer).is_none() => (newer, create(&files(folder)[newer])?, 0),
            None => (1 - newer, create(&files(folder)[1 - newer])?, 0),
        };
        let file = BufWriter::new(file);
        Ok(Self { folder: folder.to_owned(), place, file, written, encoder: Encoder::default() })
    }

    /// Whether the file is full: then it wants a header, which goes into the other one.
    pub fn is_full(&self) -> bool {
        self.written >= FILE_BYTES
    }

    /// Begins a segment: where we are, or, if this file is full or broken, in the other file.
    ///
    /// # Errors
    /// The disk.
    pub fn begin(&mut self, header: Header, other_file: bool) -> io::Result<()> {
        if other_file || self.is_full() {
            // What cannot be written to the full file is not to keep us from the other one.
            let _flushed = self.file.flush();
            self.place = 1 - self.place;
            let file = BufWriter::new(create(&files(&self.folder)[self.place])?);
            // What the old file does not take must not be tried again when it is dropped.
            let _unwritten = std::mem::replace(&mut self.file, file).into_parts();
            self.written = 0;
        }
        self.write(Line::Begin(Box::new(header)))
    }

    /// Writes a line.
    ///
    /// # Errors
    /// The disk.
    pub fn write(&mut self, line: Line) -> io::Result<()> {
        let mut text = self.encoder.encode(line)?;
        text.push('\n');
        self.written += text.len() as u64;
        // In one piece: whoever reads meanwhile sees whole lines.
        self.file.write_all(text.as_bytes())
    }

    /// Hands everything to the system.
    ///
    /// # Errors
    /// The disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The file, at its end, and how long it is: if it is one of ours, with room in it.
fn proceed(path: &Path) -> io::Result<Option<(File, u64)>> {
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut first = Vec::new();
    let head = format!("{{\"standin-recording\":{{\"format\":{FORMAT},");
    (&file).take(head.len() as u64).read_to_end(&mut first)?;
    let length = file.metadata()?.len();
    if length < head.len() as u64 && head.as_bytes().starts_with(&first) {
        // A crash came before its first header: the other file has all that there is, and is to stay.
        file.set_len(0)?;
        file.rewind()?;
        return Ok(Some((file, 0)));
    }
    if first != head.as_bytes() || length >= FILE_BYTES {
        return Ok(None);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        // A crash has torn the last line.
        file.write_all(b"\n")?;
    }
    Ok(Some((file, length)))
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
