//! What the stage writes before anyone plays on it: the key, and the nodes' configuration; and its port.

use std::fs::File;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, bail};

use super::{DESTINATIONS, NODES, Plan, SERVICE, Stage};
use crate::config::keys::{KEY_BYTES, key_line};

/// Below the ports that the kernel gives away by itself (32768 and more), so that nobody gets one between
/// the look at it and the agents' start.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 10_000;

/// Writes them.
pub(super) fn write(stage: &Stage, plan: Plan) -> anyhow::Result<()> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).context("the operating system gives no random bytes")?;
    let key_file = stage.folder.join("cluster.key");
    write_secret(&key_file, &key_line(1, &key))?;
    let text = configuration(stage, plan, &key_file);
    for node in 0..NODES.len() {
        std::fs::write(stage.config(node), &text)?;
    }
    Ok(())
}

fn configuration(stage: &Stage, plan: Plan, key_file: &Path) -> String {
    let allocation = |name| {
        let found = stage.sandbox.elastic_ips.iter().find(|it| it.name == name);
        found.map(|it| it.allocation_id.as_str()).unwrap_or_default()
    };
    let tables: Vec<&str> = stage.sandbox.route_tables.iter().map(|it| it.id.as_str()).collect();
    format!(
        r#"cluster = "demo"
key-file = "{key}"

[heartbeat]
port = {port}
interval = "{interval}ms"
dead-after = "{dead_after}ms"

[aws]
endpoint-url = "{endpoint}"
region = "{region}"

[[node]]
name = "ivr-a"
links = ["127.0.0.11", "127.0.1.11"]

[[node]]
name = "ivr-b"
links = ["127.0.0.12", "127.0.1.12"]

[[group]]
name = "ivr"
nodes = ["ivr-a", "ivr-b"]
anchor = "service-address"

[[group.private-ip]]
name = "service-address"
address = "{SERVICE}"
elastic-ip = "{service}"
guest = false

[[group.elastic-ip]]
name = "trunk"
allocation-id = "{trunk}"
to = {{ ivr-a = "127.0.0.21", ivr-b = "127.0.0.22" }}

[[group.route]]
name = "office"
tables = {tables:?}
destinations = {DESTINATIONS:?}

[[group.hook]]
on = "promote"
run = ["/bin/sh", "-c", "echo active > {folder}/promoted-$STANDIN_NODE"]
"#,
        key = key_file.display(),
        port = stage.port,
        interval = plan.interval.as_millis(),
        dead_after = plan.dead_after.as_millis(),
        endpoint = stage.sandbox.ec2_url,
        region = stage.sandbox.region,
        service = allocation("service"),
        trunk = allocation("trunk"),
        folder = stage.folder.display(),
    )
}

/// Free on every link's address now, and not given to an earlier stage of this process, which may not have
/// bound it yet. Below the ports that the kernel gives away by itself.
///
/// # Errors
/// No port of the range is free.
pub fn free_port() -> anyhow::Result<u16> {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(31);
    for _ in 0..PORTS {
        let step = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(begin) % PORTS;
        let Ok(port) = u16::try_from(FIRST_PORT + step) else { continue };
        let links = ["127.0.0.11", "127.0.1.11", "127.0.0.12", "127.0.1.12"];
        if links.iter().all(|link| UdpSocket::bind((*link, port)).is_ok()) {
            return Ok(port);
        }
    }
    bail!("no UDP port is free on 127.0.0.11, 127.0.1.11, 127.0.0.12 and 127.0.1.12")
}

fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")?;
    Ok(())
}
