//! `standin demo`, as a script or an impatient reader runs it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::pair::{PATIENCE, pause, standin};

pub(crate) async fn demo_prints_one_document_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let args = ["demo", "--json", "--interval", "100ms", "--dead-after", "1500ms"];
    let (code, out, err) = tokio::task::spawn_blocking(move || standin(&path, &args)).await.unwrap();
    assert_eq!(code, Some(0), "{out}{err}");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&document["version"], &document["ok"]), (&1.into(), &true.into()));
    assert_eq!(document["takeovers"].as_array().unwrap().len(), 3);
    assert!(err.contains("waiting until"), "progress goes to standard error: {err}");
    leaves_nothing(folder.path()).await;
}

pub(crate) async fn interrupted_demo_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["demo"])
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(lines.any(|it| it.unwrap().contains("waiting until")));
    let deadline = Instant::now() + PATIENCE;
    while processes(folder.path()).len() < 2 {
        assert!(Instant::now() < deadline, "no agents: {:?}", processes(folder.path()));
        pause().await;
    }
    let pid = Pid::from_raw(i32::try_from(demo.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || demo.wait_with_output()).await.unwrap().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("interrupted"), "{err}");
    leaves_nothing(folder.path()).await;
}

async fn leaves_nothing(folder: &Path) {
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    // One that was killed may need a moment.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(processes(folder), Vec::<String>::new());
}

/// The processes that have a file of this folder on their command line.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let lines = std::fs::read_dir("/proc").unwrap().filter_map(|it| {
        let line = std::fs::read(it.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&folder)).collect()
}
