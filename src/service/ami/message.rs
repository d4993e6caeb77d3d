//! The bytes of AMI as messages, and back: "Key: value" lines up to an empty one
//! (docs.asterisk.org, "The Asterisk Manager TCP/IP API").

use std::fmt;

/// No line of Asterisk is nearly so long, in bytes.
pub const LONGEST_LINE: usize = 16 * 1024;
/// So many lines are one message: the output of a command is one, line by line.
pub const MOST_LINES: usize = 4096;
/// And so many bytes.
const LARGEST: usize = 1 << 20;

/// What is no AMI.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Malformed {
    /// A line of more than [`LONGEST_LINE`] bytes.
    Line,
    /// A message of more than [`MOST_LINES`] lines, or a megabyte.
    Message,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line => write!(f, "a line of more than {LONGEST_LINE} bytes"),
            Self::Message => write!(f, "a message of more than {MOST_LINES} lines or {LARGEST} bytes"),
        }
    }
}

impl std::error::Error for Malformed {}

/// A response or an event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Message {
    /// As they came; a line without a colon has no key.
    fields: Vec<(String, String)>,
}

impl Message {
    /// The first value of a key. Keys differ in case between versions.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }

    /// All values of a key: a command's output has its lines so.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let same = move |(name, _): &&(String, String)| name.eq_ignore_ascii_case(key);
        self.fields.iter().filter(same).map(|(_, value)| value.as_str())
    }

    /// Whether a key has this value, in any case.
    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|it| it.eq_ignore_ascii_case(value))
    }
}

/// Bytes as they arrive, and what can be read of them so far.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    bytes: Vec<u8>,
    /// Up to here there is no end of a line.
    searched: usize,
    fields: Vec<(String, String)>,
    size: usize,
}

impl Reader {
    /// What has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next line, without its end; the greeting is one.
    ///
    /// # Errors
    /// It is too long.
    pub fn line(&mut self) -> Result<Option<String>, Malformed> {
        let end = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n');
        let Some(end) = end.map(|end| self.searched + end) else {
            self.searched = self.bytes.len();
            return if self.searched > LONGEST_LINE { Err(Malformed::Line) } else { Ok(None) };
        };
        if end > LONGEST_LINE {
            return Err(Malformed::Line);
        }
        let line = self.bytes[..end].strip_suffix(b"\r").unwrap_or(&self.bytes[..end]);
        let line = String::from_utf8_lossy(line).into_owned();
        self.bytes.drain(..=end);
        self.searched = 0;
        Ok(Some(line))
    }

    /// The next message, if all of it is here.
    ///
    /// # Errors
    /// It is too long. What follows then cannot be trusted to begin anywhere.
    pub fn message(&mut self) -> Result<Option<Message>, Malformed> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                // Some events end with two empty lines.
                if self.fields.is_empty() {
                    continue;
                }
                self.size = 0;
                return Ok(Some(Message { fields: std::mem::take(&mut self.fields) }));
            }
            self.size += line.len();
            if self.fields.len() >= MOST_LINES || self.size > LARGEST {
                return Err(Malformed::Message);
            }
            let field = match line.split_once(':') {
                Some((key, value)) => (key.trim().to_owned(), value.trim_start().to_owned()),
                None => (String::new(), line),
            };
            self.fields.push(field);
        }
        Ok(None)
    }
}

/// The bytes of an action. A value cannot end its line: what would is left out.
pub(super) fn action(name: &str, id: &str, fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (key, value) in [("Action", name), ("ActionID", id)].iter().chain(fields) {
        text.push_str(key);
        text.push_str(": ");
        text.extend(value.chars().filter(|it| !it.is_control()));
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(reader: &mut Reader) -> Vec<Message> {
        std::iter::from_fn(|| reader.message().unwrap()).collect()
    }

    #[test]
    fn a_message_ends_with_an_empty_line() {
        let mut reader = Reader::default();
        reader
            .push(b"Asterisk Call Manager/5.0.2\r\nResponse: Success\r\nMessage: Command output follows\r\n");
        assert_eq!(reader.line(), Ok(Some("Asterisk Call Manager/5.0.2".into())));
        assert_eq!(reader.message(), Ok(None));
        reader.push(b"Output: a: b\r\nOutput:  c\r\n\r\n\r\nEvent: FullyBooted\r\n\r\nno colon\r\n\r\n");
        let found = all(&mut reader);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].get("response"), Some("Success"));
        assert_eq!(found[0].all("Output").collect::<Vec<_>>(), ["a: b", "c"]);
        assert!(found[1].is("event", "fullybooted") && !found[1].is("Response", "Success"));
        assert_eq!(found[2].get(""), Some("no colon"));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let mut reader = Reader::default();
        reader.push(&vec![b'x'; LONGEST_LINE]);
        assert_eq!(reader.message(), Ok(None));
        reader.push(b"x");
        assert_eq!(reader.message(), Err(Malformed::Line));
        let mut reader = Reader::default();
        reader.push(&b"a: b\r\n".repeat(MOST_LINES));
        assert_eq!(reader.message(), Ok(None));
        reader.push(b"a: b\r\n");
        assert_eq!(reader.message(), Err(Malformed::Message));
        let mut reader = Reader::default();
        reader.push(&format!("a: {}\n", "x".repeat(LONGEST_LINE / 2)).into_bytes().repeat(200));
        assert_eq!(reader.message(), Err(Malformed::Message));
    }

    #[test]
    fn an_action_is_one_whatever_its_values_are() {
        let text = action("Login", "1", &[("Username", "a\r\nAction: Originate"), ("Secret", "ß: ü")]);
        assert_eq!(
            text,
            "Action: Login\r\nActionID: 1\r\nUsername: aAction: Originate\r\nSecret: ß: ü\r\n\r\n"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20)) {
            let mut reader = Reader::default();
            for part in parts {
                reader.push(&part);
                while let Ok(Some(message)) = reader.message() {
                    prop_assert!(!message.fields.is_empty());
                }
            }
        }

        #[test]
        fn where_the_bytes_are_cut_does_not_matter(
            messages in prop::collection::vec(prop::collection::vec(("[A-Za-z]{1,8}", "[ -~]{0,20}"), 1..6), 0..6),
            cut in 1usize..40,
        ) {
            let text: String = messages
                .iter()
                .map(|fields| fields.iter().map(|(key, value)| format!("{key}: {value}\r\n")).collect::<String>() + "\r\n")
                .collect();
            let mut reader = Reader::default();
            let mut found = Vec::new();
            for part in text.as_bytes().chunks(cut) {
                reader.push(part);
                found.extend(all(&mut reader));
            }
            let expected: Vec<Message> = messages
                .into_iter()
                .map(|fields| Message {
                    fields: fields.into_iter().map(|(key, value)| (key, value.trim_start().to_owned())).collect(),
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
