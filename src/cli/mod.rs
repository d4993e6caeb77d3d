//! The command line: one file per noun, each with its `Args` and a `run(args, out)` that answers an
//! [`Exit`]. Results go to standard output through `out`, everything else to standard error.

mod completions;
mod config;
pub mod demo;
pub mod exit;
mod explain;
mod guard;
mod keygen;
mod layout;
mod output;
mod run;
pub mod sandbox;
mod status;
mod switchover;

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::ConfigError;
pub use exit::Exit;
use output::Output;

/// Where a command writes its results. A write to a reader that has gone away is an error like any other:
/// pass it up with `?`, the command then ends with [`Exit::Ok`].
pub type Out<'a> = &'a mut (dyn Write + Send);

/// standin: a failover agent for EC2. A standby that steps in, by Elastic IP, private IP and routes.
#[derive(Debug, Parser)]
#[command(name = "standin", version, arg_required_else_help = true, after_help = exit::help())]
struct Root {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show a pair that fails over: on loopback, against the sandbox
    Demo(demo::Args),
    /// Run the agent of this node
    Run(Box<run::Args>),
    /// Show what this node's agent knows
    Status(status::Args),
    /// Hand a group over to another node
    Switchover(switchover::Args),
    /// Say of any moment what was known, what was decided and why
    Explain(explain::Args),
    /// Check or show a configuration file
    Config(config::Args),
    /// Make a key for the heartbeats
    Keygen(keygen::Args),
    /// Serve an EC2 that you can break, on loopback
    Sandbox(sandbox::SandboxArgs),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Kill services whose lease is over
    #[command(hide = true)]
    Guard(guard::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let root = Root::parse();
    let mut out = Output::new(std::io::stdout());
    let done = run(root, &mut out).and_then(|exit| {
        out.flush()?;
        Ok(exit)
    });
    match done {
        Ok(exit) => exit.into(),
        // Whoever read our output has seen enough: no failure, and nobody to tell.
        Err(_) if out.reader_gone() => Exit::Ok.into(),
        Err(error) => report(&error, &mut std::io::stderr()).into(),
    }
}

fn run(root: Root, out: Out<'_>) -> anyhow::Result<Exit> {
    match root.command {
        Command::Demo(args) => demo::run(&args, out),
        Command::Run(args) => run::run(*args, out),
        Command::Status(args) => status::run(&args, out),
        Command::Switchover(args) => switchover::run(&args, out),
        Command::Explain(args) => explain::run(&args, out),
        Command::Config(args) => config::run(args, out),
        Command::Keygen(args) => keygen::run(&args, out),
        Command::Sandbox(args) => sandbox::run(&args, out).map(|()| Exit::Ok),
        Command::Guard(args) => guard::run(&args, out),
        Command::Completions(args) => completions::run(&args, &mut Root::command(), out),
    }
}

/// A failure with an exit code and a remedy of its own.
#[derive(Debug)]
pub struct Failure {
    /// How the command ends.
    pub exit: Exit,
    /// What failed.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  help: {}", self.what, self.remedy)
    }
}

impl std::error::Error for Failure {}

/// Says on standard error what failed; answers how the command ends.
fn report(error: &anyhow::Error, to: &mut dyn Write) -> Exit {
    // If standard error is closed, there is nowhere left to say so.
    let _ = writeln!(to, "standin: {error:#}");
    if error.is::<ConfigError>() {
        return Exit::Config;
    }
    error.downcast_ref::<Failure>().map_or(Exit::Failed, |failure| failure.exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Root::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_that_is_accepted() {
        let mut examples = 0;
        let mut commands = vec![(Root::command(), "standin".to_owned())];
        while let Some((command, path)) = commands.pop() {
            let children: Vec<_> = command.get_subcommands().filter(|it| it.get_name() != "help").collect();
            if children.is_empty() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let lines: Vec<&str> =
                    help.lines().map(str::trim).filter(|it| it.starts_with(&path)).collect();
                assert!(!lines.is_empty(), "{path} --help has no example");
                for line in lines {
                    let words = line.split(['|', '>']).next().unwrap_or_default().split_whitespace();
                    assert!(Root::try_parse_from(words).is_ok(), "{line}");
                    examples += 1;
                }
            }
            commands.extend(children.into_iter().map(|it| (it.clone(), format!("{path} {}", it.get_name()))));
        }
        assert!(examples >= 4);
    }

    #[test]
    fn no_help_is_wrapped_in_the_middle_of_a_thought() {
        // Where the width of the terminal is not known, clap wraps at 100.
        let mut commands = vec![Root::command()];
        while let Some(command) = commands.pop() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{}: {line}", command.get_name());
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn failures_end_with_their_own_code() {
        let failure = Failure { exit: Exit::Unreachable, what: "no agent".into(), remedy: "start it".into() };
        let mut said = Vec::new();
        assert_eq!(report(&failure.into(), &mut said), Exit::Unreachable);
        assert_eq!(String::from_utf8(said).unwrap(), "standin: no agent\n  help: start it\n");
        let config = crate::config::Config::parse("", "f").unwrap_err();
        assert_eq!(report(&config.into(), &mut Vec::new()), Exit::Config);
        assert_eq!(report(&anyhow::anyhow!("other"), &mut Vec::new()), Exit::Failed);
    }
}
