//! The secret of the AMI user: a file that only its owner can read, as the key file.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A file with one secret has less than this; more is some other file.
const LARGEST: u64 = 4096;

/// A secret; it is never shown.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// What is sent to Asterisk.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Reads the secret: the first line of the file.
///
/// # Errors
/// It is absent, not a file, readable by others than its owner, or has no secret: with the remedy.
pub fn read(path: &Path) -> Result<Secret, String> {
    let origin = path.display();
    let unreadable = |error| {
        format!(
            "the secret file {origin} must be readable ({error}): write the secret of the AMI user into it, \
             mode 0600"
        )
    };
    let file = File::open(path).map_err(unreadable)?;
    // Of the open file, not of the path: what is checked is what is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("the secret file {origin} is not a regular file: name another one"));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "only the owner of a secret file may read it; the mode of {origin} is {mode:04o}: \
             `chmod 0600 {origin}`; if others can have read it, change the secret"
        ));
    }
    let mut text = String::new();
    let read = file.take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if read as u64 > LARGEST || line.is_empty() || line.chars().any(char::is_control) {
        return Err(format!(
            "the first line of the secret file {origin} is the secret of the AMI user, and this one has none: \
             write `secret` of manager.conf into it"
        ));
    }
    Ok(Secret(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_only_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ami.secret");
        assert!(read(&path).unwrap_err().contains("must be readable"));
        write(&path, "hush hush\nmore\n").unwrap();
        set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.contains("is 0640: `chmod 0600") && !error.contains("hush"), "{error}");
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let secret = read(&path).unwrap();
        assert_eq!(secret.reveal(), "hush hush");
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
        write(&path, "\nhush\n").unwrap();
        assert!(read(&path).unwrap_err().contains("has none"));
        assert!(read(folder.path()).unwrap_err().contains("not a regular file"));
    }
}
