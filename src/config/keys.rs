//! The key file: who may speak in this cluster. One key per line, `<id> <64 hexadecimal digits>`; the first
//! signs, all are accepted, so that keys can be changed one node at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::error::ConfigError;
use super::report::{Problems, Refusal, Spot, refuse};

/// Bytes of a key: as long as the hash of HMAC-SHA-256 (RFC 2104, section 3).
pub const KEY_BYTES: usize = 32;

/// A key file with 255 keys has less than this; more is some other file.
const LARGEST_FILE: u64 = 64 * 1024;

/// The keys of a cluster.
#[derive(Clone, Eq, PartialEq)]
pub struct Keys {
    /// The id of the key that signs: the first of the file.
    pub signing: u8,
    /// All keys that are accepted, by their ids.
    pub keys: BTreeMap<u8, [u8; KEY_BYTES]>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&u8> = self.keys.keys().collect();
        f.debug_struct("Keys").field("signing", &self.signing).field("ids", &ids).finish_non_exhaustive()
    }
}

/// Reads and checks a key file.
///
/// # Errors
/// It is absent, not a file, readable by others than its owner, or its lines are not keys: all problems at
/// once, none of them with a key in it.
pub fn check_key_file(path: &Path) -> Result<Keys, ConfigError> {
    let origin = path.display().to_string();
    let whole = |rule: String, remedy: String| Err(ConfigError::of_file(&origin, rule, remedy));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => {
            let remedy = format!("`standin keygen --out {origin}` makes one; every node has the same");
            return whole(format!("the key file must be readable: {error}"), remedy);
        }
    };
    // Of the open file, not of the path: what is checked is what is read.
    let mode = match file.metadata() {
        Ok(metadata) if metadata.is_file() => metadata.permissions().mode() & 0o7777,
        Ok(_) => return whole("the key file is a regular file".to_owned(), "name another file".to_owned()),
        Err(error) => {
            return whole(format!("the key file must be readable: {error}"), "see its folder".to_owned());
        }
    };
    if mode & 0o077 != 0 {
        return whole(
            format!("only the owner of a key file may read it; its mode is {mode:04o}"),
            format!(
                "`chmod 0600 {origin}`; if others can have read it, change the key (`standin keygen --help`)"
            ),
        );
    }
    let mut text = String::new();
    match file.take(LARGEST_FILE + 1).read_to_string(&mut text) {
        Ok(length) if length as u64 > LARGEST_FILE => {
            whole("a key file has at most 64 KiB".to_owned(), "name another file".to_owned())
        }
        Ok(_) => parse(&text, &origin),
        Err(error) => whole(
            format!("a key file is text: {error}"),
            format!("`standin keygen --out {origin}` makes one"),
        ),
    }
}

/// The line of a key file for this key.
pub fn key_line(id: u8, key: &[u8; KEY_BYTES]) -> String {
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{id} {hex}")
}

fn parse(text: &str, origin: &str) -> Result<Keys, ConfigError> {
    let mut problems = Problems::new(origin, text);
    let mut keys = BTreeMap::new();
    let mut lines: BTreeMap<u8, usize> = BTreeMap::new();
    let mut signing = None;
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        // Never a value: it could be shown, and it is a secret even when it is malformed.
        let spot = Spot { key: String::new(), range: start..start, is_value: false };
        match key(content) {
            Ok((id, _)) if lines.contains_key(&id) => {
                let rule = format!("each key has an id of its own; {id} is already in line {}", lines[&id]);
                problems.add(&spot, rule, "give the newer key another id, the same on every node");
            }
            Ok((id, key)) => {
                lines.insert(id, number);
                signing.get_or_insert(id);
                keys.insert(id, key);
            }
            Err(Refusal { rule, remedy }) => problems.add(&spot, rule, remedy),
        }
    }
    if let Some(error) = problems.into_error() {
        return Err(error);
    }
    match signing {
        Some(signing) => Ok(Keys { signing, keys }),
        None => {
            let remedy = "`standin keygen` prints a line for it".to_owned();
            Err(ConfigError::of_file(origin, "a key file has at least one key", remedy))
        }
    }
}

fn key(line: &str) -> Result<(u8, [u8; KEY_BYTES]), Refusal> {
    const RULE: &str = "a line is an id from 1 to 255, a space, and 64 hexadecimal digits";
    const REMEDY: &str = "`standin keygen` prints such a line; '#' begins a comment";
    let words: Vec<&str> = line.split_whitespace().collect();
    let [id, digits] = words[..] else {
        return refuse(format!("{RULE}; this one has words: {}", words.len()), REMEDY);
    };
    let Some(id) = id.parse::<u8>().ok().filter(|id| *id > 0) else {
        return refuse(format!("{RULE}; the id is not one"), REMEDY);
    };
    if digits.len() != 2 * KEY_BYTES {
        return refuse(format!("{RULE}; this one has {} digits", digits.chars().count()), REMEDY);
    }
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let (Some(high), Some(low)) = (hex(pair[0]), hex(pair[1])) else {
            return refuse(format!("{RULE}; not all digits are hexadecimal"), REMEDY);
        };
        *byte = high << 4 | low;
    }
    if key.iter().all(|byte| *byte == key[0]) {
        return refuse("a key is random; all bytes of this one are the same", REMEDY);
    }
    Ok((id, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; KEY_BYTES] = *b"0123456789abcdef0123456789ABCDEF";

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let text = format!(
            "# new\n{}\n\n{} # old\n",
            key_line(7, &KEY),
            key_line(3, &[1; 31].iter().chain(&[2]).copied().collect::<Vec<_>>().try_into().unwrap())
        );
        let keys = parse(&text, "k").unwrap();
        assert_eq!(keys.signing, 7);
        assert_eq!(keys.keys[&7], KEY);
        assert_eq!(keys.keys.len(), 2);
    }

    #[test]
    fn debug_output_holds_no_key() {
        let keys = Keys { signing: 1, keys: BTreeMap::from([(1, KEY)]) };
        assert_eq!(format!("{keys:?}"), "Keys { signing: 1, ids: [1], .. }");
    }
}
