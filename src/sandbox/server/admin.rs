//! Orders to the sandbox, over HTTP and JSON, under `/_sandbox/` of EC2's endpoint. No credentials: it is
//! on loopback.
//!
//! | order | what |
//! |---|---|
//! | `GET /_sandbox/state?since=N` | the truth: who holds what, all records, the changes after number N, the calls made, the faults |
//! | `GET /_sandbox/faults` | the faults in force |
//! | `POST /_sandbox/faults` | adds one (an object) or several (an array); answers their numbers |
//! | `DELETE /_sandbox/faults` | ends all |
//! | `DELETE /_sandbox/faults/N` | ends one |
//! | `POST /_sandbox/reset` | everything as it was at the start: same ids, no faults, no changes |
//! | `POST /_sandbox/instances/I/stop` | StopInstances with Force and SkipOsShutdown, whatever the protection or the faults |
//! | `POST /_sandbox/instances/I/start`, `…/terminate` | likewise |
//! | `POST /_sandbox/instances/I/impair`, `…/heal` | its status checks fail, or succeed again |
//!
//! `I` is an instance's name or id. A fault:
//!
//! ```json
//! {"kind": "throttle", "action": "AssociateAddress", "caller": "ivr-b", "count": 3, "for_ms": 10000}
//! ```
//!
//! `kind` is one of `throttle`, `deny`, `hang` (with a caller and no action: the node is cut off from EC2),
//! `hang-after` (acts, never answers), `drop-before`, `drop-after` (acts, then closes the connection),
//! `delay` and `stale` (both with `ms`), `http` (with `status`, default 500). `service` is `ec2` (the
//! default) or `imds`; with `imds` the action is the beginning of a path (`"api/token"`, `"meta-data/iam*"`).
//! All but `kind` may be absent: then it meets every action, every caller, always.
//!
//! A change in the log has `at_us`, microseconds since the sandbox's start; `started_unix_us` and `now_us`
//! relate that to other clocks.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::{Inner, World, reply};
use crate::sandbox::model::{FaultSpec, Instances, Request as Call, State};

/// Where orders are.
pub(super) const PREFIX: &str = "/_sandbox/";

pub(super) fn answer(world: &World, head: &Request<()>, body: &[u8]) -> Response<Full<Bytes>> {
    let path = head.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let parts: Vec<_> = path.split('/').filter(|it| !it.is_empty()).collect();
    let result = match (head.method(), &parts[..]) {
        (&Method::GET, ["state"]) => Ok(state(world, since(head.uri().query().unwrap_or_default()))),
        (&Method::GET, ["faults"]) => Ok(json!(world.lock().faults.list())),
        (&Method::POST, ["faults"]) => add_faults(world, body),
        (&Method::DELETE, ["faults"]) => {
            world.lock().faults.clear();
            Ok(json!({}))
        }
        (&Method::DELETE, ["faults", number]) => match number.parse() {
            Ok(number) if world.lock().faults.remove(number) => Ok(json!({})),
            Ok(_) | Err(_) => Err((404, format!("there is no fault {number}"))),
        },
        (&Method::POST, ["reset"]) => {
            reset(world);
            Ok(json!({}))
        }
        (&Method::POST, ["instances", name, order]) => instance(world, name, order),
        (method, _) => Err((404, format!("there is no {method} {PREFIX}{path}"))),
    };
    match result {
        Ok(value) => reply(200, "application/json", format!("{value}\n")),
        Err((status, why)) => reply(status, "application/json", format!("{}\n", json!({"error": why}))),
    }
}

type Result = std::result::Result<Value, (u16, String)>;

fn since(query: &str) -> u64 {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == "since").and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn state(world: &World, since: u64) -> Value {
    let now = world.now();
    let mut inner = world.lock();
    inner.vpc.advance(now);
    let micros = |it: std::time::Duration| u64::try_from(it.as_micros()).unwrap_or(u64::MAX);
    json!({
        "started_unix_us": micros(world.started),
        "now_us": micros(now),
        "seq": inner.vpc.last_change(),
        "holders": holders(inner.vpc.state()),
        "changes": inner.vpc.changes(since).collect::<Vec<_>>(),
        "calls": inner.calls,
        "faults": inner.faults.list(),
        "state": inner.vpc.state(),
    })
}

/// Who holds what, by the names of the description: what a person or a benchmark asks first.
fn holders(state: &State) -> Value {
    let name = |interface: &str| {
        let instance = state.interfaces.get(interface).and_then(|it| it.instance());
        instance.and_then(|id| state.instances.get(id)).map(|it| it.name.clone())
    };
    let mut holders = Vec::new();
    for it in state.elastic_ips.values() {
        let at = state.elastic_ip_holder(&it.id);
        let to = at.as_ref().and_then(|at| name(&at.interface));
        holders.push(json!({"kind": "elastic-ip", "name": it.name, "id": it.id, "node": to, "holder": at}));
    }
    for interface in state.interfaces.values() {
        for address in &interface.secondary {
            let (to, at) = (name(&interface.id), state.private_ip_holder(*address));
            holders.push(json!({"kind": "private-ip", "address": address, "node": to, "holder": at}));
        }
    }
    for table in state.route_tables.values() {
        for route in &table.routes {
            let Some(at) = state.route_holder(&table.id, &route.destination) else { continue };
            holders.push(json!({
                "kind": "route", "name": table.name, "id": table.id, "destination": route.destination,
                "node": name(&at.interface), "holder": at,
            }));
        }
    }
    Value::Array(holders)
}

fn reset(world: &World) {
    let now = world.now();
    let mut inner = world.lock();
    inner.vpc = world.fresh.clone();
    inner.vpc.advance(now);
    inner.faults.clear();
    inner.calls.clear();
}

fn add_faults(world: &World, body: &[u8]) -> Result {
    let bad = |error: serde_json::Error| (400, format!("not a fault: {error}"));
    let value: Value = serde_json::from_slice(body).map_err(bad)?;
    let list = if value.is_array() { value } else { json!([value]) };
    let list: Vec<FaultSpec> = serde_json::from_value(list).map_err(bad)?;
    let now = world.now();
    let mut inner = world.lock();
    let ids: Vec<_> = list.into_iter().map(|it| inner.faults.add(it, now)).collect();
    Ok(json!({ "ids": ids }))
}

fn instance(world: &World, name: &str, order: &str) -> Result {
    let now = world.now();
    let mut inner = world.lock();
    let found = inner.vpc.state().instances.values().find(|it| it.name == name || it.id == name);
    let id =
        found.map(|it| it.id.clone()).ok_or_else(|| (404, format!("there is no instance \"{name}\"")))?;
    let ids = Instances { ids: vec![id.clone()], force: true, skip_os_shutdown: true, dry_run: false };
    let call = match order {
        "start" => Call::StartInstances(ids),
        "stop" => Call::StopInstances(ids),
        "terminate" => Call::TerminateInstances(ids),
        "impair" | "heal" => {
            inner.vpc.set_impaired(&id, order == "impair");
            return Ok(json!({ "id": id }));
        }
        _ => return Err((404, format!("there is no order \"{order}\" for an instance"))),
    };
    let done = order_call(&mut inner, &call, now);
    done.map(|()| json!({ "id": id })).map_err(|why| (409, why))
}

fn order_call(inner: &mut Inner, call: &Call, now: std::time::Duration) -> std::result::Result<(), String> {
    inner.vpc.order("sandbox", call, now).map(|_| ()).map_err(|error| error.to_string())
}
