//! From a path, or a text, to a [`Config`].

use std::path::Path;

use toml::de::DeTable;

use super::error::ConfigError;
use super::file::File;
use super::report::{Problems, Spot};
use super::table::Table;
use super::{Config, build, rules};

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// All problems of the file at once; or that it cannot be read. The key file is not looked at: that is
    /// [`check_key_file`](super::check_key_file).
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let origin = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Self::parse(&text, &origin),
                Err(_) => Err(ConfigError::of_file(&origin, "the file is UTF-8 text", "save it as UTF-8")),
            },
            Err(error) => Err(ConfigError::of_file(
                &origin,
                format!("the configuration must be readable: {error}"),
                "name the file, or write one; README.md has an example",
            )),
        }
    }

    /// Checks a text; `origin` is what messages call it.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let mut problems = Problems::new(origin, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        let readable = syntax(&errors, &mut problems, text);
        if !readable {
            return Err(problems.into_error().unwrap_or_else(|| unreachable_state(origin)));
        }
        let top = Table::top(document.get_ref());
        top.check(&mut problems);
        let file = File::read(&top, &mut problems);
        rules::check(&file, &mut problems);
        if let Some(error) = problems.into_error() {
            return Err(error);
        }
        build::build(file).ok_or_else(|| unreachable_state(origin))
    }
}

/// Reports what is not TOML. Answers whether the rest can be read all the same: duplicates do not hide
/// what else is there; anything else would be followed by problems that nobody made.
fn syntax(errors: &[toml::de::Error], problems: &mut Problems<'_>, text: &str) -> bool {
    let mut readable = true;
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        if error.message() == "duplicate key" {
            let key = text.get(range.clone()).unwrap_or_default().to_owned();
            let spot = Spot { key, range, is_value: false };
            problems.add(&spot, "a key or table is written once, and not as both", "keep one of them");
        } else {
            readable = false;
            let spot = Spot { key: String::new(), range, is_value: false };
            problems.add(
                &spot,
                format!("the file is TOML: {}", error.message()),
                "mend this first; the rest is checked once the file can be read",
            );
        }
    }
    readable
}

/// The passes must agree on what is required; if they do not, that is a bug, and no reason to panic.
fn unreachable_state(origin: &str) -> ConfigError {
    ConfigError::of_file(
        origin,
        "the file has passed all checks, but no configuration came of it",
        "this is a bug in standin: please report it with the file",
    )
}
