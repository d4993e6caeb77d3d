//! Where something was written, and the list of problems that grows while the file is read.

use std::ops::Range;

use super::error::{ConfigError, Problem};

/// A place in the file.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    /// The key with its tables, as typed.
    pub(super) key: String,
    /// The bytes of the file: of the value, of the key, or of the header of the table.
    pub(super) range: Range<usize>,
    /// Whether `range` is a value, so that it may be shown as "what was typed".
    pub(super) is_value: bool,
}

/// A value and its place. A default has the place of the table that it belongs to.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub(super) value: T,
    pub(super) spot: Spot,
}

/// What a form or a rule has against a value.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) rule: String,
    pub(super) remedy: String,
}

/// A [`Refusal`] in one word.
pub(super) fn refuse<T>(rule: impl Into<String>, remedy: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { rule: rule.into(), remedy: remedy.into() })
}

/// All problems found so far.
#[derive(Debug)]
pub(super) struct Problems<'t> {
    origin: &'t str,
    text: &'t str,
    found: Vec<(usize, Problem)>,
}

impl<'t> Problems<'t> {
    pub(super) fn new(origin: &'t str, text: &'t str) -> Self {
        Self { origin, text, found: Vec::new() }
    }

    /// Adds a problem at a place.
    pub(super) fn add(&mut self, spot: &Spot, rule: impl Into<String>, remedy: impl Into<String>) {
        let (line, column) = position(self.text, spot.range.start);
        let typed = self.text.get(spot.range.clone()).filter(|_| spot.is_value).map(excerpt);
        let problem = Problem {
            file: self.origin.to_owned(),
            line,
            column,
            key: escape(&spot.key),
            typed,
            rule: rule.into(),
            remedy: remedy.into(),
        };
        self.found.push((spot.range.start, problem));
    }

    /// The good value with its place; of a bad one, the problem is added.
    pub(super) fn keep<T>(&mut self, spot: Spot, value: Result<T, Refusal>) -> Option<Written<T>> {
        match value {
            Ok(value) => Some(Written { value, spot }),
            Err(Refusal { rule, remedy }) => {
                self.add(&spot, rule, remedy);
                None
            }
        }
    }

    /// The line of a place, for "first in line 7".
    pub(super) fn line(&self, spot: &Spot) -> usize {
        position(self.text, spot.range.start).0
    }

    /// All of them in the order of the file, or nothing.
    pub(super) fn into_error(mut self) -> Option<ConfigError> {
        self.found.sort_by_key(|(at, _)| *at);
        let problems: Vec<_> = self.found.into_iter().map(|(_, problem)| problem).collect();
        (!problems.is_empty()).then_some(ConfigError { problems })
    }
}

/// Line and column, from 1, of a byte of the text.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A value as it was typed: one line, not long, no secret.
fn excerpt(typed: &str) -> String {
    const LONGEST: usize = 60;
    let line = escape(&mask(typed.split_whitespace().collect::<Vec<_>>().join(" ").as_str()));
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST).chain(['…']).collect()
}

/// Control characters would move the cursor of whoever reads the message.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Hides what looks like a secret: 32 hexadecimal digits or more (EC2's ids have 17), and the user part
/// of a URL.
pub(super) fn mask(text: &str) -> String {
    const SECRET_DIGITS: usize = 32;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits >= SECRET_DIGITS {
            out.push_str("<hidden>");
            rest = &rest[digits..];
        } else if let Some(after) = rest.strip_prefix("://") {
            out.push_str("://");
            let authority = after.find(['/', '"', '\'', '?', ' ']).unwrap_or(after.len());
            let user = after[..authority].rfind('@');
            out.push_str(if user.is_some() { "<hidden>" } else { "" });
            rest = &after[user.unwrap_or(0)..];
        } else {
            // A run of digits is copied as one, so that its tail is not measured again and again.
            let step = digits.max(c.len_utf8());
            out.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let key = "0123456789abcdef".repeat(4);
        assert_eq!(mask(&format!("\"1 {key}\" é")), "\"1 <hidden>\" é");
        assert_eq!(mask("eipalloc-0123456789abcdef0"), "eipalloc-0123456789abcdef0");
        assert_eq!(mask("http://me:pw@host/a@b"), "http://<hidden>@host/a@b");
        assert_eq!(mask("http://host/a"), "http://host/a");
    }

    #[test]
    fn a_message_is_one_short_line_without_control_characters() {
        assert_eq!(excerpt("a\n\t b\u{1b}[2J"), "a b\\u{1b}[2J");
        assert_eq!(excerpt(&"x".repeat(70)).chars().count(), 61);
    }

    #[test]
    fn columns_are_characters() {
        assert_eq!(position("a\né = 1", "a\né = ".len()), (2, 5));
    }
}
