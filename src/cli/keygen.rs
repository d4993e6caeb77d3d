//! `standin keygen`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Exit, Failure, Out};
use crate::config::keys::{KEY_BYTES, key_line};

const HELP: &str = "\
Every node has the same key file. Its first key signs, all of them are accepted. So a key is
changed without a gap, one node after the other; the agent is restarted after each edit:
  1. on every node, add the new key (another id) as the LAST line;
  2. then, on every node, move it to the FIRST line;
  3. then, on every node, remove the old line.

Examples:
  standin keygen --out /etc/standin/cluster.key
  standin keygen --id 2 >> /etc/standin/cluster.key";

/// Make a key for the heartbeats: 256 random bits, as a line of the key file.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// A new key file, with mode 0600; an existing file is never overwritten [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The key's id, 1 to 255: another one for each key of a file
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    id: u8,
}

pub(super) fn run(args: &Args, out: Out<'_>) -> anyhow::Result<Exit> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).context("the operating system gives no random bytes")?;
    let line = key_line(args.id, &key);
    match &args.out {
        Some(path) => {
            write_new(path, &line)?;
            writeln!(out, "{}: key {}; copy it to every node", path.display(), args.id)?;
        }
        None => writeln!(out, "{line}")?,
    }
    Ok(Exit::Ok)
}

fn write_new(path: &Path, line: &str) -> anyhow::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let failure = Failure {
                exit: Exit::Failed,
                what: format!("{} exists, and keys are not overwritten", path.display()),
                remedy: "to change the key, see `standin keygen --help`; else name another file".to_owned(),
            };
            return Err(failure.into());
        }
        Err(error) => {
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let remedy = match error.kind() {
                ErrorKind::NotFound => format!("make its folder first: mkdir -p {}", folder.display()),
                _ => format!(
                    "{} must be a folder that you may write to; root's often needs sudo",
                    folder.display()
                ),
            };
            let what = format!("cannot make {}: {error}", path.display());
            return Err(Failure { exit: Exit::Failed, what, remedy }.into());
        }
    };
    writeln!(file, "{line}")
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))
}
