//! Rules of the house that no compiler keeps: who may import whom, who may read a clock, who may name the
//! AWS SDK, how long files and functions get, and what never stays in a source file. Each finding is
//! `file:line: message`. Every rule is tried on a text that breaks it.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 400;
/// Lines of a function, from its `fn` to its closing brace.
const LONGEST_FUNCTION: usize = 70;
/// Places that may stay longer for now, as `file` or `file: function`. It may only shrink.
const RATCHET: &[&str] = &[];

/// Who may import whom (design section 5); a module may always name itself. `mod*`: its value types only.
const IMPORTS: &[(&str, &[&str])] = &[
    ("cli", &["agent", "cluster", "control", "config", "record", "sandbox"]),
    ("agent", &["cluster", "wire", "record", "resource", "service", "cloud", "control", "config"]),
    ("record", &["cluster"]),
    ("resource", &["cloud", "cluster*", "config"]),
    ("service", &["cloud", "cluster*", "config"]),
    ("config", &["cluster*", "cloud"]),
    ("wire", &["cluster*"]),
    ("control", &[]),
    ("sandbox", &[]),
    ("cluster", &[]),
    ("cloud", &[]),
];
/// The files of `cluster` that hold nothing but values.
const VALUE_FILES: &[&str] = &["anchor", "heartbeat", "node", "time"];
/// Ends of a module that are for one side only: module, part, who must not name it.
const OTHER_SIDE: &[(&str, &str, &str)] = &[("control", "server", "cli"), ("control", "client", "agent")];

const CLOCK_FILE: &str = "agent/clock.rs";
const SDK_PLACES: &[&str] = &["cloud/aws/", "cloud/ec2/", "cloud/dynamodb.rs", "cloud/imds.rs"];
const SDK_CRATES: &[&str] = &["aws_config", "aws_credential_types", "aws_sdk_", "aws_smithy_", "aws_types"];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let values = value_names(&fs::read_to_string(root.join("cluster/mod.rs")).unwrap());
    let mut found = Vec::new();
    let files = rust_files(&root);
    assert!(files.len() > 10);
    for path in files {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        found.extend(findings(name, &fs::read_to_string(&path).unwrap(), &values));
    }
    let excused = |finding: &String| RATCHET.iter().any(|place| finding.contains(&format!("{place}: ")));
    let unused: Vec<_> =
        RATCHET.iter().filter(|it| !found.iter().any(|f| f.contains(&format!("{it}: ")))).collect();
    assert!(unused.is_empty(), "no longer needed in RATCHET: {unused:?}");
    found.retain(|finding| !excused(finding));
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// All findings in one file; `name` is its path below src/.
fn findings(name: &str, text: &str, values: &BTreeSet<String>) -> Vec<String> {
    let mut found = marks(text);
    if !(name.ends_with("/tests.rs") || name.contains("/tests/")) {
        let code = without_tests(&blank(text));
        let tokens = tokens(&code);
        found.extend(imports(name, &tokens, values));
        found.extend(clocks(name, &tokens));
        found.extend(sdk(name, &tokens));
        found.extend(lengths(&code, &tokens));
    }
    found.sort();
    found.dedup();
    found.into_iter().map(|(line, message)| format!("src/{name}:{line}: {message}")).collect()
}

type Finding = (usize, String);

// --- the rules ---

fn imports(name: &str, tokens: &[Token], values: &BTreeSet<String>) -> Vec<Finding> {
    let own = name.split('/').next().unwrap().trim_end_matches(".rs");
    let mut found = Vec::new();
    for (line, path) in crate_paths(name, tokens) {
        let Some(target) = path.first() else { continue };
        if own == "main" && target != "cli" {
            found.push((line, format!("main calls cli, not {target}")));
        }
        if own == target || ["main", "lib"].contains(&own) {
            continue;
        }
        let Some((_, allowed)) = IMPORTS.iter().find(|(module, _)| *module == own) else {
            found.push((line, format!("{own} is in no row of the import rule")));
            continue;
        };
        let part = path.get(1).map_or("", String::as_str);
        let only_values = allowed.contains(&format!("{target}*").as_str());
        let foreign =
            OTHER_SIDE.iter().any(|(module, it, not)| module == target && *it == part && *not == own);
        if !allowed.contains(&target.as_str()) && !only_values || foreign {
            found.push((
                line,
                format!("{own} must not import {target}{}", if foreign { " from that side" } else { "" }),
            ));
        } else if only_values && !VALUE_FILES.contains(&part) && !values.contains(part) {
            found.push((line, format!("{own} may import only value types of {target}, not {part}")));
        }
    }
    found
}

fn clocks(name: &str, tokens: &[Token]) -> Vec<Finding> {
    if name == CLOCK_FILE {
        return Vec::new();
    }
    let reads = |at: usize| {
        let word = |offset: usize| tokens.get(at + offset).map_or("", |token| token.text.as_str());
        match word(0) {
            "Instant" | "SystemTime" => word(1) == "::" && word(2) == "now",
            "." => word(1) == "elapsed" && word(2) == "(",
            "clock_gettime" => true,
            _ => false,
        }
    };
    let places = (0..tokens.len()).filter(|at| reads(*at));
    places.map(|at| (tokens[at].line, format!("only {CLOCK_FILE} reads a clock"))).collect()
}

fn sdk(name: &str, tokens: &[Token]) -> Vec<Finding> {
    if SDK_PLACES.iter().any(|place| name.starts_with(place)) {
        return Vec::new();
    }
    let named = tokens.windows(2).filter(|pair| {
        pair[1].text == "::" && SDK_CRATES.iter().any(|prefix| pair[0].text.starts_with(prefix))
    });
    named.map(|pair| (pair[0].line, format!("only cloud names the AWS SDK ({})", pair[0].text))).collect()
}

fn lengths(code: &str, tokens: &[Token]) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = code.lines().filter(|line| *line != TEST_LINE).count();
    if lines > LONGEST_FILE {
        found.push((1, format!("the file has {lines} lines without tests, at most {LONGEST_FILE}")));
    }
    for (at, token) in tokens.iter().enumerate() {
        // `fn(` is a type.
        let Some(name) = tokens.get(at + 1).filter(|next| token.text == "fn" && next.text != "(") else {
            continue;
        };
        if let Some(end) = end_of_body(&tokens[at..]) {
            let length = end - token.line + 1;
            if length > LONGEST_FUNCTION {
                let message =
                    format!("{}: the function has {length} lines, at most {LONGEST_FUNCTION}", name.text);
                found.push((token.line, message));
            }
        }
    }
    found
}

/// What never stays in a file, comments and tests included.
fn marks(text: &str) -> Vec<Finding> {
    const MARKS: &[&str] = &["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "dbg!("];
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        found.extend(
            MARKS.iter().filter(|it| line.contains(**it)).map(|it| (number, format!("{it} is left"))),
        );
        let hidden = |c: &char| {
            c.is_control() || ('\u{202a}'..='\u{202e}').contains(c) || ('\u{2066}'..='\u{2069}').contains(c)
        };
        if let Some(c) = line.chars().find(hidden) {
            found.push((number, format!("control character {}", c.escape_unicode())));
        }
    }
    found
}

// --- reading Rust, as far as the rules need it ---

#[derive(Clone, Debug)]
struct Token {
    line: usize,
    text: String,
}

/// The text with comments, strings and characters blanked out, line by line as long as before.
fn blank(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < c.len() {
        let end = match (c[at], c.get(at + 1)) {
            ('/', Some('/')) => (at..c.len()).find(|i| c[*i] == '\n').unwrap_or(c.len()),
            ('/', Some('*')) => end_of_comment(&c, at),
            ('r', Some('"' | '#')) if !(at > 0 && is_word(c[at - 1])) => end_of_raw_string(&c, at),
            ('"', _) => end_of_quoted(&c, at, '"'),
            // A lifetime has no closing quote.
            ('\'', Some('\\')) => end_of_quoted(&c, at, '\''),
            ('\'', Some(_)) if c.get(at + 2) == Some(&'\'') => at + 3,
            _ => at,
        };
        if end == at {
            out.push(c[at]);
            at += 1;
        } else {
            out.extend(c[at..end].iter().map(|it| if *it == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

fn end_of_comment(c: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < c.len() {
        match (c[at], c.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    c.len()
}

fn end_of_quoted(c: &[char], start: usize, quote: char) -> usize {
    let mut at = start + 1;
    while at < c.len() && c[at] != quote {
        at += if c[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(c.len())
}

/// The end of `r#"…"#`, or `start` if it is something else that begins with r.
fn end_of_raw_string(c: &[char], start: usize) -> usize {
    let hashes = c[start + 1..].iter().take_while(|it| **it == '#').count();
    let open = start + 1 + hashes;
    if c.get(open) != Some(&'"') {
        return start;
    }
    let closes = |at: &usize| {
        c[*at] == '"' && c[at + 1..].iter().take(hashes).filter(|it| **it == '#').count() == hashes
    };
    (open + 1..c.len()).find(closes).map_or(c.len(), |at| at + 1 + hashes)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Stands for a line of a test module; no line of Rust is this.
const TEST_LINE: &str = "\u{0}";

/// Replaces what belongs to `#[cfg(test)]`, up to the end of that item.
fn without_tests(code: &str) -> String {
    let mut out = Vec::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            out.push(line);
            continue;
        }
        out.push(TEST_LINE);
        let (mut depth, mut opened) = (0_i64, false);
        for line in lines.by_ref() {
            out.push(TEST_LINE);
            depth += line.matches('{').count() as i64 - line.matches('}').count() as i64;
            opened |= line.contains('{');
            if depth <= 0 && (opened || line.contains(';')) {
                break;
            }
        }
    }
    out.join("\n")
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(code.lines()) {
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            let length = if is_word(c) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                c.len_utf8()
            };
            if !c.is_whitespace() {
                tokens.push(Token { line: number, text: rest[..length].to_owned() });
            }
            rest = &rest[length..];
        }
    }
    tokens
}

/// Every path into this crate, from its top: `crate::a::B`, `standin::a::B`, and `super::` that climbs as far.
fn crate_paths(name: &str, tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let steps = name.split('/').filter(|step| *step != "mod.rs").count();
    let mut paths = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
        let start = match word(at) {
            "crate" | "standin" if word(at + 1) == "::" => Some(at + 2),
            "super" => {
                let supers =
                    (0..).take_while(|n| word(at + 2 * n) == "super" && word(at + 2 * n + 1) == "::").count();
                (supers > 0 && supers == steps).then_some(at + 2 * supers)
            }
            _ => None,
        };
        if let Some(start) = start {
            at = tree(tokens, start, &[], &mut paths).max(at + 1);
        } else {
            // Not into the middle of `super::super::`.
            let climbs = word(at) == "super" && word(at + 1) == "::";
            at += if climbs { (0..).take_while(|n| word(at + 2 * n) == "super").count() * 2 } else { 1 };
        }
    }
    paths
}

/// Reads `a::{B, c::D}` from `at`; answers where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<(usize, Vec<String>)>) -> usize {
    let mut path = prefix.to_vec();
    let word = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    loop {
        if word(at) == "{" {
            at += 1;
            while at < tokens.len() && word(at) != "}" {
                at = if word(at) == "," { at + 1 } else { tree(tokens, at, &path, paths).max(at + 1) };
            }
            return at + 1;
        }
        let Some(token) = tokens.get(at) else { return at };
        path.push(token.text.clone());
        if word(at + 1) != "::" {
            paths.push((token.line, path));
            return at + 1;
        }
        at += 2;
    }
}

/// The names that `cluster/mod.rs` exports from its files of values.
fn value_names(text: &str) -> BTreeSet<String> {
    let tokens = tokens(&blank(text));
    let mut paths = Vec::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at].text == "use") {
        tree(&tokens, at + 1, &[], &mut paths);
    }
    let values =
        paths.into_iter().map(|(_, path)| path).filter(|path| VALUE_FILES.contains(&path[0].as_str()));
    values.filter_map(|path| path.last().cloned()).collect()
}

/// The line of the brace that closes the body of a function; `None` if it has no body.
fn end_of_body(tokens: &[Token]) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                if braces == 0 {
                    return Some(token.line);
                }
            }
            _ => {}
        }
    }
    None
}

// --- the rules find what they are for ---

mod negative {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        findings(name, text, &value_names("pub use node::{NodeId};\npub use engine::Engine;\n"))
    }

    fn assert_found(name: &str, text: &str, finding: &str) {
        let found = found(name, text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("src/{name}:")) && found[0].contains(finding), "{found:?}");
    }

    fn assert_clean(name: &str, text: &str) {
        assert_eq!(found(name, text), Vec::<String>::new());
    }

    #[test]
    fn forbidden_imports() {
        assert_found(
            "cluster/core.rs",
            "use std::fmt;\nuse crate::config::Config;\n",
            ":2: cluster must not import config",
        );
        assert_found("wire/mod.rs", "use super::cloud::Cloud;", "wire must not import cloud");
        assert_found(
            "wire/a/b.rs",
            "fn f() {\n    super::super::super::agent::go();\n}",
            ":2: wire must not import agent",
        );
        assert_found(
            "sandbox/x.rs",
            "use crate::{\n    sandbox::Vpc,\n    cloud::{Address, Route},\n};",
            ":3: sandbox must not import cloud",
        )
    }

    #[test]
    fn value_types_only() {
        assert_clean("wire/mod.rs", "use crate::cluster::{NodeId, node::Session};");
        assert_found(
            "wire/mod.rs",
            "use crate::cluster::{NodeId, Engine};",
            "only value types of cluster, not Engine",
        );
        assert_found("resource/mod.rs", "fn f() { crate::cluster::engine::go() }", "not engine");
        assert_clean("agent/mod.rs", "use crate::cluster::Engine;");
    }

    #[test]
    fn each_side_of_the_control_socket() {
        assert_found("cli/status.rs", "use crate::control::server::Server;", "from that side");
        assert_clean("cli/status.rs", "use crate::control::client;");
        assert_found("agent/mod.rs", "use crate::control::client::Client;", "from that side");
    }

    #[test]
    fn main_is_thin_and_new_modules_have_a_row() {
        assert_clean("main.rs", "fn main() { standin::cli::main() }");
        assert_found("main.rs", "fn main() { standin::agent::run() }", "main calls cli, not agent");
        assert_found("lease/mod.rs", "use crate::cloud::Cloud;", "no row");
    }

    #[test]
    fn what_is_not_code_is_not_looked_at() {
        let text = "// use crate::config::Config;\n/* Instant::now() /* */ */\nconst A: &str = \"crate::agent::x\";\n\
                    const B: &str = r#\"aws_sdk_ec2::x \" crate::agent\"#;\nconst C: char = '\"';\nconst D: char = '\\'';\n\
                    fn f<'a>(it: &'a str) -> &'a str { it }\n#[cfg(test)]\nmod tests {\n    use crate::config::Config;\n}\n";
        assert_clean("cluster/x.rs", text);
        assert_found(
            "cluster/x.rs",
            &format!("{text}use crate::agent::Agent;\n"),
            ":12: cluster must not import agent",
        );
    }

    #[test]
    fn clocks_elsewhere() {
        assert_found("cluster/x.rs", "fn f() { let _ = std::time::Instant::now(); }", "reads a clock");
        assert_found("wire/x.rs", "fn f() { tokio::time::Instant::now(); }", "reads a clock");
        assert_found(
            "wire/x.rs",
            "fn f(t: T) { t\n    .elapsed(); }",
            ":2: only agent/clock.rs reads a clock",
        );
        assert_found("agent/loop.rs", "use rustix::time::clock_gettime;", "reads a clock");
        assert_clean("agent/clock.rs", "fn f() { Instant::now(); clock_gettime(X); }");
    }

    #[test]
    fn the_sdk_elsewhere() {
        assert_found("agent/mod.rs", "use aws_sdk_ec2::Client;", "AWS SDK (aws_sdk_ec2)");
        assert_found("cloud/mod.rs", "fn f() { aws_config::load(); }", "AWS SDK");
        assert_clean("cloud/dynamodb.rs", "use aws_sdk_dynamodb::Client;");
        assert_clean("cloud/aws/errors.rs", "use aws_smithy_types::x;");
        assert_clean("config/file.rs", "fn f(aws_config: A) { aws_config.region(); }");
    }

    #[test]
    fn long_files_and_functions() {
        let lines = |n: usize| "const A: u8 = 1;\n".repeat(n);
        assert_clean("wire/x.rs", &lines(400));
        assert_found("wire/x.rs", &lines(401), "401 lines without tests");
        assert_clean("wire/x.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(400), lines(100)));
        let function =
            |n: usize| format!("fn long(a: [u8; 3]) -> u8 {{\n{}}}\nfn short();\n", "    x();\n".repeat(n));
        assert_clean("wire/x.rs", &function(68));
        assert_found("wire/x.rs", &function(69), "long: the function has 71 lines");
    }

    #[test]
    fn what_never_stays() {
        // Put together here, so that a search for these words finds no false place.
        for mark in
            [concat!("// TO", "DO: later"), concat!("fn f() { to", "do!() }"), concat!("// FIX", "ME")]
        {
            assert!(!found("wire/x.rs", mark).is_empty(), "{mark}");
        }
        assert_found("wire/x.rs", "// a\u{1b}[2J", "control character");
        assert_found("wire/x.rs", "\tlet a = 1;", "control character");
        assert_found("wire/tests.rs", "// a\u{202e}b", "control character");
    }
}
