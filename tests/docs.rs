//! README and docs/ say what the program does: their tables are compared with the code (`UPDATE_EXPECTED=1`
//! writes them anew), README's example is a configuration that is accepted, and the checks and files that they
//! name are there.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use standin::cli::Exit;
use standin::cluster::decision::{Fact, SITUATIONS, Situation};
use standin::cluster::{Owner, Row};
use standin::config::Config;
use standin::config::schema::{Form, KEYS};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares each table with what stands between `<!-- name: … -->` and `<!-- end -->`, or writes it there.
fn compare(page: &str, tables: &[(&str, String)]) {
    let mut text = read(page);
    for (name, table) in tables {
        let start = text.find(&format!("<!-- {name}: ")).unwrap();
        let start = start + text[start..].find("-->\n").unwrap() + "-->\n".len();
        let end = start + text[start..].find("<!-- end -->").unwrap();
        if std::env::var_os("UPDATE_EXPECTED").is_none() {
            assert_eq!(&text[start..end], table, "{page}, table {name}");
        }
        text = format!("{}{table}{}", &text[..start], &text[end..]);
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(root().join(page), text).unwrap();
    }
}

#[test]
fn the_tables_of_readme_are_those_of_the_code() {
    let mut keys = "\n| key | default | meaning |\n|---|---|---|\n".to_owned();
    for key in KEYS {
        let path = match key.form {
            Form::Table => format!("**`[{}]`**", key.path()),
            Form::Tables => format!("**`[[{}]]`**", key.path()),
            Form::Text
            | Form::Duration
            | Form::Integer
            | Form::Switch
            | Form::List
            | Form::OneOrMore
            | Form::Map => {
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
    compare("README.md", &[("config", keys), ("exit", exits)]);
}

#[test]
fn the_decision_table_is_that_of_the_code() {
    let mut table =
        "\n| # | anchor | what I know of peer or holder | I am | action |\n|---|---|---|---|---|\n"
            .to_owned();
    for row in Row::ALL {
        let it = row.columns();
        let (number, anchor, known, i_am, action) = (row.number(), it.anchor, it.known, it.i_am, it.action);
        table += &format!("| {number} | {anchor} | {known} | {i_am} | {action} |\n");
    }
    for row in Row::ALL {
        table += &format!("\n## Row {}: {}\n\n", row.number(), row.situation());
        table += "| | I am | anchor | what else is known | action | why |\n|---|---|---|---|---|---|\n";
        for (it, n) in SITUATIONS.iter().filter(|it| it.row == row).zip(1..) {
            table += &format!("| {}.{n} {}\n", row.number(), situation(it));
        }
    }
    compare("docs/decision-table.md", &[("table", table + "\n")]);
}

fn situation(it: &Situation) -> String {
    let i_am = if it.active { "active" } else { "standby" };
    let anchor = match it.anchor {
        None => "unknown",
        Some(Owner::Mine) => "mine",
        Some(Owner::Theirs(_)) => "theirs",
        Some(Owner::Nobody) => "nobody's",
        Some(Owner::Orphaned) => "orphaned",
        Some(Owner::Stranger) => "a stranger's",
    };
    let words = |facts: &[Fact]| facts.iter().map(|fact| fact.words()).collect::<Vec<_>>().join("; ");
    let facts = if it.facts.is_empty() { "-".to_owned() } else { words(it.facts) };
    let even_if =
        if it.even_if.is_empty() { String::new() } else { format!(" *Even if:* {}.", words(it.even_if)) };
    format!("| {i_am} | {anchor} | {facts} | {} | {}{even_if} |", it.action, it.reason)
}

#[test]
fn the_example_is_accepted() {
    let text = read("README.md");
    let examples: Vec<&str> =
        text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!examples.is_empty());
    for example in examples {
        Config::parse(example, "README.md").unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Pages for operators.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    docs.filter(|name| name.ends_with(".md")).chain(["README.md".to_owned()]).collect()
}

/// What stands between backquotes on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// All our own sources, as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let source = path.extension().is_some_and(|it| it == "rs" || it == "py");
        if path.is_dir() {
            sources(&path, text);
        } else if source {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}

/// A check is cited by its name, `a_test_or_checker` or `A_BOUND`: without it the promise would be bare.
#[test]
fn the_checks_that_docs_name_are_there() {
    let mut code = String::new();
    for folder in ["src", "tests", "benches"] {
        sources(&root().join(folder), &mut code);
    }
    let words: Vec<&str> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let pairs = words.windows(2).filter(|pair| ["fn", "const", "def"].contains(&pair[0]));
    let defined: BTreeSet<&str> = pairs.map(|pair| pair[1]).collect();
    let mut cited = 0;
    for page in pages() {
        let text = read(&page);
        let name = |it: &&str| {
            it.contains('_')
                && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !it.starts_with("AWS_")
                && !it.starts_with("STANDIN_")
        };
        for check in quoted(&text).filter(name) {
            cited += 1;
            assert!(defined.contains(check), "{page} names `{check}`, which is nowhere");
        }
    }
    assert!(cited > 50);
}

#[test]
fn the_files_that_docs_name_are_there() {
    for page in pages() {
        let text = read(&page);
        let places = ["src/", "tests/", "docs/", "scripts/", "benches/"];
        let named = quoted(&text).filter(|it| places.iter().any(|place| it.starts_with(place)));
        for file in named.map(|it| it.split_whitespace().next().unwrap()) {
            assert!(root().join(file).exists(), "{page} names {file}, which is not there");
        }
        let folder = root().join(&page).parent().unwrap().to_owned();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            let local = !link.is_empty() && !link.contains("://");
            assert!(!local || folder.join(link).exists(), "{page} links to {link}, which is not there");
        }
    }
}
