//! README says what the program does: its tables are compared with the code (`UPDATE_EXPECTED=1` writes them
//! anew), and its example is a configuration that is accepted.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::path::{Path, PathBuf};

use standin::cli::Exit;
use standin::config::Config;
use standin::config::schema::{Form, KEYS};

fn readme() -> (PathBuf, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

/// Compares what stands between `<!-- name: … -->` and `<!-- end -->`, or writes it.
fn compare(text: &str, name: &str, table: &str) -> String {
    let start = text.find(&format!("<!-- {name}: ")).unwrap();
    let start = start + text[start..].find("-->\n").unwrap() + "-->\n".len();
    let end = start + text[start..].find("<!-- end -->").unwrap();
    if std::env::var_os("UPDATE_EXPECTED").is_none() {
        assert_eq!(&text[start..end], table, "README.md, table {name}");
    }
    format!("{}{table}{}", &text[..start], &text[end..])
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut keys = "\n| key | default | meaning |\n|---|---|---|\n".to_owned();
    for key in KEYS {
        let path = match key.form {
            Form::Table => format!("**`[{}]`**", key.path()),
            Form::Tables => format!("**`[[{}]]`**", key.path()),
            Form::Text | Form::Duration | Form::Integer | Form::Switch | Form::List | Form::Map => {
                format!("`{}`", key.path())
            }
        };
        keys += &format!("| {path} | {} | {} |\n", key.default_text(), key.about);
    }
    keys += "\n";
    let mut exits = "\n| code | meaning |\n|---|---|\n".to_owned();
    for exit in Exit::ALL {
        exits += &format!("| {} | {} |\n", exit.code(), exit.meaning());
    }
    exits += "\n";
    let (path, text) = readme();
    let text = compare(&text, "config", &keys);
    let text = compare(&text, "exit", &exits);
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, text).unwrap();
    }
}

#[test]
fn the_example_is_accepted() {
    let (_, text) = readme();
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        Config::parse(example, "README.md").unwrap_or_else(|error| panic!("{error}"));
    }
}
