//! Reading recordings: a file, or the ring of a folder.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::line::{Decoder, Header, Line};
use super::{FORMAT, ring};

/// Every segment's first line begins so.
const BEGIN: &str = "{\"standin-recording\":";

/// One recording, or several that follow each other.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// Its segments, the oldest first.
    pub segments: Vec<Segment>,
    /// What was passed over while it was read, in sentences.
    pub notes: Vec<String>,
}

/// From one header to the next.
#[derive(Clone, Debug)]
pub struct Segment {
    /// Which file it is from.
    pub path: PathBuf,
    /// Its first line.
    pub header: Header,
    /// How it ends.
    pub end: End,
    /// The lines after the header, and the number of the first of them in the file.
    text: String,
    number: usize,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// With a whole line.
    Whole,
    /// In the middle of a line: the process or the machine crashed, or the disk was full.
    Torn,
}

/// Why there is no recording.
#[derive(Debug)]
pub enum ReadError {
    /// The system.
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder has no recording.
    Nothing {
        /// Which folder.
        folder: PathBuf,
    },
    /// The file is something else.
    NotARecording {
        /// Which file.
        path: PathBuf,
    },
    /// Another version of standin wrote it.
    OtherFormat {
        /// Which file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// The version that wrote it.
        standin: String,
    },
    /// A line in the middle cannot be understood.
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

impl Recording {
    /// Reads one file.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let read = fs::read(path);
        let bytes = read.map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
        // A crash can leave anything in the last line.
        Self::parse(&String::from_utf8_lossy(&bytes), path)
    }

    /// Reads the ring of this folder. A file of another format is passed over, with a note, while there is one
    /// that can be read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read_ring(folder: &Path) -> Result<Self, ReadError> {
        if let Err(source) = fs::read_dir(folder) {
            return Err(ReadError::Io { path: folder.to_owned(), source });
        }
        let mut all = Self::default();
        let mut failed = None;
        for path in ring::files(folder).into_iter().filter(|path| path.exists()) {
            match Self::read(&path) {
                Ok(one) => {
                    all.segments.extend(one.segments);
                    all.notes.extend(one.notes);
                }
                Err(error) => {
                    all.notes.push(error.to_string());
                    failed = Some(error);
                }
            }
        }
        if all.segments.is_empty() {
            return Err(failed.unwrap_or(ReadError::Nothing { folder: folder.to_owned() }));
        }
        // Within a boot the wall clock may have been set; between two boots there is nothing else.
        let boot_began = |header: &Header| header.wall_ms.saturating_sub(header.at.as_nanos() / 1_000_000);
        let first = |boot: &str| {
            let same = all.segments.iter().map(|it| &it.header).filter(|it| it.boot == boot);
            same.map(boot_began).min()
        };
        let order: Vec<_> = all.segments.iter().map(|it| (first(&it.header.boot), it.header.at)).collect();
        let mut sorted: Vec<_> = order.into_iter().zip(all.segments).collect();
        sorted.sort_by_key(|(key, _)| *key);
        all.segments = sorted.into_iter().map(|(_, segment)| segment).collect();
        Ok(all)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ReadError> {
        let mut recording = Self::default();
        let mut lines = (1..).zip(text.split_inclusive('\n')).peekable();
        while let Some((number, line)) = lines.next() {
            if line.starts_with(BEGIN) {
                match header(line, number, path) {
                    Ok(header) => recording.segments.push(Segment {
                        path: path.to_owned(),
                        header,
                        end: End::Whole,
                        text: String::new(),
                        number: number + 1,
                    }),
                    // Torn right here: nothing of this segment is left. (An agent that goes on in this file ends the
                    // line, and begins anew.)
                    Err(ReadError::Corrupt { .. })
                        if lines.peek().is_none_or(|(_, next)| next.starts_with(BEGIN)) =>
                    {
                        recording.note_torn(path, number)
                    }
                    Err(error) => return Err(error),
                }
            } else if let Some(segment) = recording.segments.last_mut() {
                segment.text.push_str(line);
            } else {
                return Err(ReadError::NotARecording { path: path.to_owned() });
            }
        }
        if recording.segments.is_empty() {
            return Err(ReadError::NotARecording { path: path.to_owned() });
        }
        for at in 0..recording.segments.len() {
            if let Some(number) = recording.segments[at].drop_torn() {
                recording.note_torn(path, number);
            }
        }
        Ok(recording)
    }

    fn note_torn(&mut self, path: &Path, number: usize) {
        let path = path.display();
        self.notes.push(format!(
            "line {number} of {path} is torn, and left out: the agent or the machine crashed there, the \
             disk was full, or it is just being written"
        ));
    }
}

impl Segment {
    /// Its lines after the header, in full.
    pub fn lines(&self) -> impl Iterator<Item = Result<Line, ReadError>> {
        let mut decoder = Decoder::default();
        (self.number..).zip(self.text.lines()).map(move |(line, text)| {
            decoder.decode(text).map_err(|why| ReadError::Corrupt { path: self.path.clone(), line, why })
        })
    }

    /// The number of its header's line in the file.
    pub fn first_line(&self) -> usize {
        self.number - 1
    }

    /// Drops the last line if it is torn; answers its number.
    fn drop_torn(&mut self) -> Option<usize> {
        let last = self.text.lines().next_back()?;
        let whole = serde_json::from_str::<serde::de::IgnoredAny>(last).is_ok();
        if whole && self.text.ends_with('\n') {
            return None;
        }
        let number = self.number + self.text.lines().count() - 1;
        self.text.truncate(self.text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1));
        self.end = End::Torn;
        Some(number)
    }
}

fn header(line: &str, number: usize, path: &Path) -> Result<Header, ReadError> {
    let corrupt = |error: serde_json::Error| ReadError::Corrupt {
        path: path.to_owned(),
        line: number,
        why: error.to_string(),
    };
    let value: serde_json::Value = serde_json::from_str(line).map_err(corrupt)?;
    let written = value.get("standin-recording");
    let format = written.and_then(|it| it.get("format")).and_then(serde_json::Value::as_u64);
    let Some(format) = format else { return Err(ReadError::NotARecording { path: path.to_owned() }) };
    if format != u64::from(FORMAT) {
        let standin = written.and_then(|it| it.get("standin")).and_then(serde_json::Value::as_str);
        let standin = standin.unwrap_or("unknown").to_owned();
        return Err(ReadError::OtherFormat { path: path.to_owned(), format, standin });
    }
    serde_json::from_value(written.cloned().unwrap_or_default()).map_err(corrupt)
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Nothing { folder } => {
                write!(
                    f,
                    "there is no recording in {}: no record-0.jsonl, no record-1.jsonl",
                    folder.display()
                )
            }
            Self::NotARecording { path } => {
                write!(f, "{} is no recording: its first line does not begin with {BEGIN}", path.display())
            }
            Self::OtherFormat { path, format, standin } => write!(
                f,
                "{} has format {format}, written by standin {standin}; this standin reads format {FORMAT}",
                path.display()
            ),
            Self::Corrupt { path, line, why } => {
                write!(f, "line {line} of {} is corrupt: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Nothing { .. }
            | Self::NotARecording { .. }
            | Self::OtherFormat { .. }
            | Self::Corrupt { .. } => None,
        }
    }
}
