//! moto's DynamoDB as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

/// It ends with this.
pub(crate) struct Server {
    pub(crate) url: String,
    process: Child,
    // It ends when its standard input does.
    words: Option<ChildStdin>,
}

/// A program of the Python environment that `./test` makes.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/standin"));
    let cache = std::env::var_os("STANDIN_CACHE").map(PathBuf::from).or_else(home)?;
    let program = cache.join("venv/bin").join(name);
    program.exists().then_some(program)
}

/// `None`: there is no moto here, which is said loudly, and is a failure where STANDIN_NEEDS_MOTO is set.
pub(crate) fn start() -> Option<Server> {
    let Some(python) = program("python") else {
        let text = "NOT TESTED: the lease against a real DynamoDB server; ./test makes the Python environment for it";
        assert!(std::env::var_os("STANDIN_NEEDS_MOTO").is_none(), "{text}");
        println!("\n*** {text} ***\n");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lease/serve.py");
    let mut process = Command::new(python)
        .arg(script)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let words = process.stdin.take();
    let mut url = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("http://"), "moto did not start: {url:?}; delete the venv and run ./test");
    Some(Server { url: url.trim().to_owned(), process, words })
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.words.take());
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}
