//! `standin run`: the daemon.

use std::path::PathBuf;
use std::time::Duration;

use super::config::DEFAULT_FILE;
use super::{Exit, Failure, Out};
use crate::agent::log::{self, Format};
use crate::agent::{Agent, Ended, Parts, aws, own_addresses};
use crate::config::{Arbiter, Config, Fencing, check_key_file};

const HELP: &str = "\
The agent runs until it is told to end. It logs to standard error; STANDIN_LOG filters
(\"warn\", \"standin=debug\").
  SIGTERM, SIGINT  hand the groups over, say goodbye, end; a second one ends at once.
                   If systemd restarts the unit, SIGTERM is as SIGUSR1.
  SIGUSR1          announce \"back in 10 s\", end, and leave everything running: for an upgrade
                   without systemd.

Examples:
  standin run
  standin run --config standin.toml --node ivr-a --endpoint-url http://127.0.0.1:4566";

/// The last lines of the log may take so long.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Run the agent of this node.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Which node this is [default: the one with an address of this machine]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Another endpoint for EC2, instead of aws.endpoint-url
    #[arg(long, value_name = "URL", value_parser = crate::config::endpoint_url)]
    endpoint_url: Option<String>,
    /// The region, instead of aws.region
    #[arg(long, value_name = "REGION", value_parser = crate::config::region)]
    region: Option<String>,
    /// The profile of the AWS tools, instead of aws.profile
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// What the log looks like
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    log: LogFormat,
    /// The operator's socket, instead of `socket`
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The folder of the durable state, instead of `state-dir`
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Set by `standin demo`: the agent dies with the process that started it, however that ends.
pub(super) const END_WITH_PARENT: &str = "STANDIN_END_WITH_PARENT";

pub(super) fn run(args: Args, _: Out<'_>) -> anyhow::Result<Exit> {
    if std::env::var_os(END_WITH_PARENT).is_some() {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    }
    let mut config = Config::load(&args.config)?;
    let keys = check_key_file(&config.key_file)?;
    let me = config.own_node(args.node.as_deref(), &own_addresses()).map_err(|error| Failure {
        exit: Exit::Config,
        what: error.to_string(),
        remedy: format!("`standin config show {}` lists the nodes", args.config.display()),
    })?;
    let aws_settings = &mut config.aws;
    aws_settings.endpoint_url = args.endpoint_url.or(aws_settings.endpoint_url.take());
    aws_settings.region = args.region.or(aws_settings.region.take());
    aws_settings.profile = args.profile.or(aws_settings.profile.take());
    config.socket = args.socket.unwrap_or(config.socket);
    config.state_dir = args.state_dir.unwrap_or(config.state_dir);
    let format = match args.log {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    };
    let node = config.nodes.get(usize::from(me.0)).map(|node| node.name.clone()).unwrap_or_default();
    let reach = aws(&config)?;
    let log = log::start(format, &node)?;
    banner(&config, &node);
    let started = Agent::start(Parts { config, me, keys, reach })
        .map_err(anyhow::Error::from)
        .and_then(|agent| agent.listen_to_signals().map(|()| agent).map_err(anyhow::Error::from));
    let ended = match started {
        Ok(agent) => agent.wait(),
        Err(error) => {
            log.flush(LAST_LINES);
            return Err(error);
        }
    };
    tracing::info!(id = "ended", "the agent has ended");
    log.flush(LAST_LINES);
    match ended {
        Ended::Done => Ok(Exit::Ok),
        Ended::AtOnce => Ok(Exit::Failed),
        Ended::Broken => anyhow::bail!("the agent broke: please report this with its log and its recording"),
    }
}

/// What starts here, and what it does not promise.
fn banner(config: &Config, node: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let links = config.nodes.iter().map(|it| {
        let links: Vec<String> = it.links.iter().map(ToString::to_string).collect();
        format!("{} ({})", it.name, links.join(", "))
    });
    let links = links.collect::<Vec<_>>().join(", ");
    let port = config.heartbeat.port;
    tracing::info!(
        id = "start",
        "standin {version}: node {node} of cluster {}, nodes {links}, UDP port {port}",
        config.cluster
    );
    for group in &config.groups {
        let resources: Vec<&str> = group.resources.iter().map(crate::config::Resource::name).collect();
        let anchor = resources.get(group.anchor).copied().unwrap_or_default();
        let name = &group.name;
        tracing::info!(id = "start", group = name, "anchor {anchor}; resources {}", resources.join(", "));
        if group.fencing != Fencing::None || group.arbiter != Arbiter::Ec2 {
            let (fencing, arbiter) = (group.fencing.word(), group.arbiter.word());
            tracing::info!(id = "fencing", group = name, "fencing = {fencing}, arbiter = {arbiter}");
            continue;
        }
        tracing::warn!(
            id = "fencing",
            group = name,
            "fencing = none: when a node falls silent, nothing makes sure that its processes have stopped. \
             Right for what only its address makes reachable; wrong for shared storage or a database"
        );
    }
}
