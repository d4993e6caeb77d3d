//! Text for a terminal of 80 columns.

use std::io;

use super::Out;

/// The terminal.
pub(super) const WIDTH: usize = 80;
/// Where the values of a group begin.
const COLUMN: usize = 12;

/// A name and what is to be said of it.
pub(super) fn field(out: Out<'_>, name: &str, text: &str) -> io::Result<()> {
    wrapped_to(out, &format!("  {name:<COLUMN$} "), COLUMN + 3, text)
}

/// Prints `head` and `text`; further lines begin under the text.
pub(super) fn wrapped(out: Out<'_>, head: &str, text: &str) -> io::Result<()> {
    wrapped_to(out, head, head.chars().count(), text)
}

/// Prints `head` and `text`, broken at spaces; further lines are indented.
pub(super) fn wrapped_to(out: Out<'_>, head: &str, indent: usize, text: &str) -> io::Result<()> {
    let mut line = head.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        let length = line.chars().count() + usize::from(!empty) + word.chars().count();
        if length > WIDTH && !empty {
            writeln!(out, "{line}")?;
            line = " ".repeat(indent);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    writeln!(out, "{}", line.trim_end())
}

/// An age in one or two units: "350 ms", "4.2 s", "3 min 2 s", "5 h 1 min", "2 d 3 h".
pub(super) fn age(ms: u64) -> String {
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{s}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => format!("{min} min {} s", s % 60),
        3_600_000..86_400_000 => format!("{h} h {} min", min % 60),
        86_400_000.. => format!("{} d {} h", h / 24, h % 24),
    }
}
