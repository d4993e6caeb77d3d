//! The binary, as an operator or a script meets it: exit codes, streams, files.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn standin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_standin")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Exit code, standard output, standard error.
fn parts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn good() -> String {
    file("good/everything.toml").display().to_string()
}

#[test]
fn a_good_file_is_ok() {
    let (code, out, err) = parts(&standin(&["config", "check", "--no-key", &good()]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "OK: cluster ivr-tokyo; nodes ivr-a, ivr-b, spare; groups ivr (anchor service-address, resources 3); \
         keys not checked; hash 28a356226b0dbf5f\n"
    );
}

#[test]
fn a_bad_file_ends_with_3_and_says_why_on_standard_error() {
    let path = file("bad/many-problems-at-once.toml").display().to_string();
    let (code, out, err) = parts(&standin(&["config", "check", &path]));
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.starts_with("standin: ") && err.contains(": 6 problems\n"), "{err}");
    let (code, out, _) = parts(&standin(&["config", "check", "--json", &path]));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["ok"]), (3, &serde_json::Value::Bool(false)));
    let third = &document["problems"][2];
    assert_eq!((third["line"].as_u64(), third["key"].as_str()), (Some(5), Some("heartbeat.interval")));
}

#[test]
fn a_cluster_too_large_for_one_heartbeat_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = fs::read_to_string(good()).unwrap();
    for n in 0..16 {
        text += &format!(
            "\n[[group]]\nname = \"a-group-with-a-long-name-{n}\"\nnodes = [\"ivr-a\", \"ivr-b\"]\n\
             anchor = \"there\"\n[[group.route]]\nname = \"there\"\ntables = [\"rtb-0a1b2c3d\"]\n\
             destinations = [\"10.200.{n}.0/24\"]\n"
        );
    }
    let config = folder.path().join("standin.toml").display().to_string();
    fs::write(&config, text).unwrap();
    let (code, _, err) = parts(&standin(&["config", "check", "--no-key", &config]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("must fit into one datagram") && err.contains("divide the groups"), "{err}");
}

#[test]
fn the_key_file_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("cluster.key");
    let text = fs::read_to_string(good()).unwrap().replace("/etc/standin/ivr.key", key.to_str().unwrap());
    let config = folder.path().join("standin.toml").display().to_string();
    fs::write(&config, text).unwrap();
    let (code, _, err) = parts(&standin(&["config", "check", &config]));
    assert_eq!(code, 3);
    assert!(err.contains("the key file must be readable"), "{err}");

    let (code, out, err) = parts(&standin(&["keygen", "--out", key.to_str().unwrap()]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("key 1"), "{out}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o7777, 0o600);
    let (code, line, _) = parts(&standin(&["keygen", "--id", "9"]));
    assert_eq!(code, 0);
    fs::OpenOptions::new().append(true).open(&key).unwrap().write_all(line.as_bytes()).unwrap();
    let (code, out, err) = parts(&standin(&["config", "check", &config]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("key 1 signs, key 9 accepted"), "{out}");

    // A key that exists is worth more than the wish for a new one.
    let before = fs::read(&key).unwrap();
    let (code, _, err) = parts(&standin(&["keygen", "--out", key.to_str().unwrap()]));
    assert_eq!(code, 1);
    assert!(err.contains("not overwritten") && err.contains("help:"), "{err}");
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn keys_differ() {
    let key = || parts(&standin(&["keygen"])).1;
    let (first, second) = (key(), key());
    assert_eq!(first.len(), "1 ".len() + 64 + 1);
    assert_ne!(first, second);
    assert_eq!(standin(&["keygen", "--id", "0"]).status.code(), Some(2));
    assert_eq!(standin(&["keygen", "--id", "256"]).status.code(), Some(2));
}

#[test]
fn what_is_shown_is_a_file_and_a_document() {
    let (code, shown, _) = parts(&standin(&["config", "show", &good()]));
    assert_eq!(code, 0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["config", "check", "--no-key", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(shown.as_bytes()).unwrap();
    let (code, out, _) = parts(&child.wait_with_output().unwrap());
    assert_eq!(code, 0);
    assert!(out.ends_with("hash 28a356226b0dbf5f\n"), "{out}");
    let (code, out, _) = parts(&standin(&["config", "show", "--json", &good()]));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, document["heartbeat"]["warn-after"].as_str()), (0, Some("200ms")));
}

#[test]
fn a_missing_file_is_a_problem_of_the_configuration() {
    let (code, _, err) = parts(&standin(&["config", "show", "/nowhere/standin.toml"]));
    assert_eq!(code, 3);
    assert!(err.contains("/nowhere/standin.toml") && err.contains("No such file"), "{err}");
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [&["no-such-command"][..], &[], &["config", "check", "--no-such-flag"]] {
        assert_eq!(standin(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["config", "check", "--help"]] {
        assert_eq!(standin(arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn completions_are_for_this_program() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = parts(&standin(&["completions", shell]));
        assert_eq!(code, 0);
        assert!(out.contains("standin") && out.contains("keygen"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    // More than a pipe holds, so that the writer meets the closed end.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("long.toml");
    let tables: Vec<_> = (0..5000).map(|n| format!("\"rtb-{n:017x}\"")).collect();
    let text = fs::read_to_string(file("good/overlay-address-against-the-sandbox.toml")).unwrap();
    fs::write(&config, text.replace("\"rtb-0123456789abcdef1\"", &tables.join(", "))).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["config", "show", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 1];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let (code, _, err) = parts(&child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (0, ""));
}
