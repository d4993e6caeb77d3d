//! The log: one line per event, as text or as JSON, written by a thread of its own, so that a reader that
//! does not read stops nobody.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::clock;

/// So many lines wait for the reader; more are dropped and counted.
const WAITING: usize = 4096;

/// What the lines look like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people: time, level, node, group, id, sentence.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The log of this process; [`Log::flush`] it before the process ends.
#[derive(Debug)]
pub struct Log {
    lines: SyncSender<Line>,
}

/// Starts the log of this process, to standard error. `STANDIN_LOG` filters as `RUST_LOG` does elsewhere
/// (default "info"; of the SDK only errors: its warnings are long, and ours say the same). A second start has no effect.
///
/// # Errors
/// There can be no thread more.
pub fn start(format: Format, node: &str) -> io::Result<Log> {
    let (lines, from) = sync_channel(WAITING);
    std::thread::Builder::new().name("log".into()).spawn(move || write_all(&from, &mut io::stderr()))?;
    let filter =
        EnvFilter::try_from_env("STANDIN_LOG").unwrap_or_else(|_| EnvFilter::new("info,aws_config=error"));
    let to = ToThread { lines: lines.clone(), dropped: Arc::default() };
    let lines_of = Lines { format, node: node.to_owned() };
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).event_format(lines_of).with_writer(to).finish();
    // In a test there may be another one already.
    let _second = tracing::subscriber::set_global_default(subscriber);
    Ok(Log { lines })
}

impl Log {
    /// Waits until everything so far is written, or `patience` is over.
    pub fn flush(&self, patience: Duration) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Line::Flush(done)).is_ok() {
            let _in_time = written.recv_timeout(patience);
        }
    }
}

enum Line {
    Text(Vec<u8>),
    Flush(SyncSender<()>),
}

fn write_all(from: &Receiver<Line>, to: &mut dyn Write) {
    for line in from {
        match line {
            // Nobody reads: nobody to tell.
            Line::Text(bytes) => drop(to.write_all(&bytes)),
            Line::Flush(done) => drop(done.send(())),
        }
    }
}

#[derive(Clone)]
struct ToThread {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for ToThread {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let dropped = self.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            let text = format!("{} WARN  log: {dropped} lines were dropped\n", clock::wall_text());
            if self.lines.try_send(Line::Text(text.into_bytes())).is_ok() {
                self.dropped.fetch_sub(dropped, Ordering::Relaxed);
            }
        }
        if self.lines.try_send(Line::Text(bytes.to_owned())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines {
    format: Format,
    node: String,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        let line = self.line(clock::wall_text(), *event.metadata().level(), fields.0);
        writeln!(to, "{line}")
    }
}

impl Lines {
    fn line(&self, time: String, level: Level, mut fields: Map<String, Value>) -> String {
        match self.format {
            Format::Text => {
                let mut word = |name: &str| match fields.remove(name) {
                    Some(Value::String(text)) => Some(text),
                    Some(other) => Some(other.to_string()),
                    None => None,
                };
                let message = word("message").unwrap_or_default();
                let id = word("id").map(|id| format!("{id}: ")).unwrap_or_default();
                let group = word("group").map(|group| format!("{group} ")).unwrap_or_default();
                // The row is in the sentence where it matters; the other clock is for programs.
                let _rest = (word("row"), word("boot_us"));
                let rest: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                format!("{time} {level:<5} {} {group}{id}{message}{rest}", self.node)
            }
            Format::Json => {
                let mut object = Map::new();
                object.insert("time".into(), time.into());
                object.insert("level".into(), level.as_str().to_ascii_lowercase().into());
                object.insert("node".into(), self.node.clone().into());
                object.append(&mut fields);
                Value::Object(object).to_string()
            }
        }
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(format: Format) -> String {
        let fields = [
            ("message", Value::from("this node is active")),
            ("id", "role-changed".into()),
            ("group", "ivr".into()),
            ("row", 16.into()),
            ("term", 3.into()),
        ];
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let lines = Lines { format, node: "ivr-a".into() };
        lines.line("2026-01-02T03:04:05.678Z".into(), Level::INFO, fields)
    }

    #[test]
    fn text_begins_with_the_time_and_json_is_an_object() {
        assert_eq!(
            line(Format::Text),
            "2026-01-02T03:04:05.678Z INFO  ivr-a ivr role-changed: this node is active term=3"
        );
        let json: Value = serde_json::from_str(&line(Format::Json)).unwrap();
        assert_eq!(
            (&json["level"], &json["node"], &json["row"]),
            (&"info".into(), &"ivr-a".into(), &16.into())
        );
    }

    #[test]
    fn a_reader_that_does_not_read_stops_nobody() {
        let (lines, from) = sync_channel(2);
        let mut to = ToThread { lines, dropped: Arc::default() };
        for _ in 0..5 {
            assert_eq!(to.write(b"x\n").unwrap(), 2);
        }
        assert_eq!(to.dropped.load(Ordering::Relaxed), 3);
        drop(from);
    }
}
