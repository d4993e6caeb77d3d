//! The command line.

pub mod sandbox;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Failover agent for EC2.
#[derive(Debug, Parser)]
#[command(name = "standin", version)]
enum Cli {
    /// Serve an EC2 that you can break, on loopback.
    Sandbox(sandbox::SandboxArgs),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let result = match Cli::parse() {
        Cli::Sandbox(args) => sandbox::run(&args, &mut out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "standin: {error:#}");
            ExitCode::FAILURE
        }
    }
}
