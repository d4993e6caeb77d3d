//! `standin completions`.

use super::{Exit, Out};

const EXAMPLE: &str = "\
Example:
  standin completions bash > /etc/bash_completion.d/standin";

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Args {
    /// Which shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args, root: &mut clap::Command, out: Out<'_>) -> anyhow::Result<Exit> {
    // Through a buffer: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, root, "standin", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Ok)
}
