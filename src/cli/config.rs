//! `standin config check` and `standin config show`.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::{Exit, Out};
use crate::agent::check_heartbeat;
use crate::config::{Config, ConfigError, Keys, Problem, Resource, check_key_file};

/// Where the configuration is, unless it is named.
pub(super) const DEFAULT_FILE: &str = "/etc/standin/standin.toml";

const CHECK_HELP: &str = "\
Every problem is shown at once, with its place, the rule, and the remedy. Nothing is changed,
and EC2 is not asked. The exit code is 3 when there are problems.

Examples:
  standin config check
  standin config check --no-key --json standin.toml";

const SHOW_HELP: &str = "\
What is shown can be used as a configuration file. Keys are never shown.

Examples:
  standin config show
  standin config show --json standin.toml";

/// Check or show a configuration file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Check a configuration file, and its key file
    #[command(after_help = CHECK_HELP)]
    Check {
        /// The file; "-" is standard input
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
        /// Leave out the key file, which may be on the nodes only
        #[arg(long)]
        no_key: bool,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show the effective values, with all defaults filled in
    #[command(after_help = SHOW_HELP)]
    Show {
        /// The file; "-" is standard input
        #[arg(default_value = DEFAULT_FILE)]
        file: PathBuf,
        /// Print JSON instead of TOML
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: Args, out: Out<'_>) -> anyhow::Result<Exit> {
    match args.verb {
        Verb::Check { file, no_key, json } => {
            let checked = read(&file)?.and_then(|config| {
                fits(&config, &file)?;
                let keys = if no_key { None } else { Some(check_key_file(&config.key_file)?) };
                Ok((config, keys))
            });
            if json { print_json(&checked, out) } else { print_text(checked, out) }
        }
        Verb::Show { file, json } => {
            let shown = read(&file)??.show();
            if json {
                let values: toml::Value = toml::from_str(&shown)?;
                writeln!(out, "{}", serde_json::to_string_pretty(&values)?)?;
            } else {
                write!(out, "{shown}")?;
            }
            Ok(Exit::Ok)
        }
    }
}

/// The outer error: there is no text. The inner one: it is wrong.
fn read(file: &Path) -> anyhow::Result<Result<Config, ConfigError>> {
    if file != Path::new("-") {
        return Ok(Config::load(file));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    Ok(Config::parse(&text, "-"))
}

/// What the agent would refuse at its start.
fn fits(config: &Config, file: &Path) -> Result<(), ConfigError> {
    check_heartbeat(config).map_err(|error| {
        let problem = Problem {
            file: file.display().to_string(),
            line: 0,
            column: 0,
            key: String::new(),
            typed: None,
            rule: "a heartbeat carries the names of all nodes and groups, and must fit into one datagram"
                .to_owned(),
            remedy: error.to_string(),
        };
        ConfigError { problems: vec![problem] }
    })
}

type Checked = Result<(Config, Option<Keys>), ConfigError>;

fn print_text(checked: Checked, out: Out<'_>) -> anyhow::Result<Exit> {
    let (config, keys) = checked?;
    let nodes: Vec<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    let groups = config.groups.iter().map(|group| {
        let anchor = group.resources.get(group.anchor).map_or("", Resource::name);
        format!("{} (anchor {anchor}, resources {})", group.name, group.resources.len())
    });
    writeln!(
        out,
        "OK: cluster {}; nodes {}; groups {}; {}; hash {:016x}",
        config.cluster,
        nodes.join(", "),
        groups.collect::<Vec<_>>().join(", "),
        keys.as_ref().map_or("keys not checked".to_owned(), keys_in_words),
        config.hash()
    )?;
    for warning in config.asterisk_warnings() {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(Exit::Ok)
}

fn keys_in_words(keys: &Keys) -> String {
    let others = keys.keys.keys().filter(|id| **id != keys.signing).map(|id| format!(", key {id} accepted"));
    format!("key {} signs{}", keys.signing, others.collect::<String>())
}

fn print_json(checked: &Checked, out: Out<'_>) -> anyhow::Result<Exit> {
    let (document, exit) = match checked {
        Ok((config, keys)) => {
            let nodes: Vec<_> = config.nodes.iter().map(|node| &node.name).collect();
            let groups: Vec<_> = config.groups.iter().map(|group| &group.name).collect();
            let keys = keys
                .as_ref()
                .map(|keys| json!({"signing": keys.signing, "ids": keys.keys.keys().collect::<Vec<_>>()}));
            let hash = format!("{:016x}", config.hash());
            let document = json!({
                "ok": true, "cluster": config.cluster, "nodes": nodes, "groups": groups, "keys": keys,
                "hash": hash, "problems": [], "warnings": config.asterisk_warnings(),
            });
            (document, Exit::Ok)
        }
        Err(error) => (json!({"ok": false, "problems": error.problems}), Exit::Config),
    };
    writeln!(out, "{}", serde_json::to_string_pretty(&document)?)?;
    Ok(exit)
}
