//! Standard output that remembers whether its reader went away (`standin … | head`).

use std::io::{self, ErrorKind, Write};

/// A writer that remembers a broken pipe: an EPIPE of any other file or socket is a failure, this one is not.
#[derive(Debug)]
pub(super) struct Output<W> {
    to: W,
    reader_gone: bool,
}

impl<W: Write> Output<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, reader_gone: false }
    }

    pub(super) fn reader_gone(&self) -> bool {
        self.reader_gone
    }

    fn note<T>(&mut self, done: io::Result<T>) -> io::Result<T> {
        self.reader_gone |= done.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe);
        done
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let done = self.to.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.to.flush();
        self.note(done)
    }
}
