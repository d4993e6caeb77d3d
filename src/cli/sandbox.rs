//! `standin sandbox`: an EC2 that you can break, on loopback.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::{Exit, Failure};
use crate::agent::clock;
use crate::sandbox::{Clock, Options, Running, Spec, serve};

const HELP: &str = "\
It speaks EC2's own protocol: the AWS CLI, boto3 and any SDK work against it with --endpoint-url.
Faults (throttle, deny, hang, stale reads, ...) are set by POST to /_sandbox/faults.

Examples:
  standin sandbox
  standin sandbox --config vpc.toml --port 4566 --json";

/// Serve an EC2 that you can break, on loopback.
///
/// Without a file: one VPC, two instances (ivr-a, ivr-b), three Elastic IPs, one secondary private address
/// that moves, two route tables.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = HELP)]
pub struct SandboxArgs {
    /// What there is, and who holds what (TOML).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The port of the EC2 endpoint on 127.0.0.1; 0: any.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Print addresses, keys and ids as one line of JSON.
    #[arg(long)]
    pub json: bool,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// A file that cannot be read or is contradictory, a port that is in use.
pub fn run(args: &SandboxArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let spec = match &args.config {
        None => Spec::pair(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            Spec::parse(&text).with_context(|| format!("{} is not a sandbox", path.display()))?
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let running = serve(spec, Options { port: args.port, clock: clock() }).await.map_err(not_served)?;
        if args.json {
            serde_json::to_writer(&mut *out, &running)?;
            writeln!(out)?;
        } else {
            print(&running, out)?;
        }
        out.flush()?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => (),
        }
        running.shutdown().await;
        Ok(())
    })
}

fn not_served(error: std::io::Error) -> anyhow::Error {
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => "name another --port, or leave it out: then any free one is taken",
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need root: name a higher --port",
        // A description that contradicts itself says what is wrong with it.
        _ => return error.into(),
    };
    Failure { exit: Exit::Failed, what: error.to_string(), remedy: remedy.to_owned() }.into()
}

fn print(running: &Running, out: &mut dyn Write) -> std::io::Result<()> {
    let key = &running.operator;
    writeln!(out, "EC2 (Query protocol): {}", running.ec2_url)?;
    writeln!(out, "Orders and faults:    {}/_sandbox/state", running.ec2_url)?;
    writeln!(out, "\nAs the operator:")?;
    writeln!(out, "  export AWS_ENDPOINT_URL_EC2={}", running.ec2_url)?;
    writeln!(out, "  export AWS_REGION={0} AWS_DEFAULT_REGION={0}", running.region)?;
    writeln!(out, "  export AWS_ACCESS_KEY_ID={}", key.access_key_id)?;
    writeln!(out, "  export AWS_SECRET_ACCESS_KEY={}", key.secret_access_key)?;
    for it in &running.instances {
        writeln!(out, "\n{} ({}):", it.name, it.instance_id)?;
        for at in &it.interfaces {
            let more: String = at.secondary.iter().map(|it| format!(", {it}")).collect();
            writeln!(out, "  {}  {}{more}", at.id, at.address)?;
        }
        writeln!(out, "  export AWS_ENDPOINT_URL_EC2={}", running.ec2_url)?;
        writeln!(out, "  export AWS_EC2_METADATA_SERVICE_ENDPOINT={}", it.imds_url)?;
    }
    writeln!(out, "\nElastic IPs:")?;
    for it in &running.elastic_ips {
        writeln!(out, "  {}  {}  {}", it.allocation_id, it.public_ip, it.name)?;
    }
    for (title, list) in [("Route tables", &running.route_tables), ("Subnets", &running.subnets)] {
        writeln!(out, "{title}:")?;
        for it in list {
            writeln!(out, "  {}  {}", it.id, it.name)?;
        }
    }
    writeln!(out, "\nCtrl-C ends it.")
}

/// The machine's clocks.
pub(super) fn clock() -> Clock {
    Clock {
        monotonic: Arc::new(|| Duration::from_nanos(clock::now().as_nanos())),
        wall: Arc::new(clock::wall),
    }
}
