//! Instance metadata, version 2 (User Guide, "Use the Instance Metadata Service"): a token first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response};

use super::auth::AccessKey;
use super::{Answer, World, dropped, hang, reply, rfc3339};
use crate::sandbox::model::{FaultKind, Interface, Service, State};

/// The role whose credentials an instance gets.
const ROLE: &str = "standin";

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// How long credentials count, from when they are asked for. Nothing checks it but the client.
const CREDENTIALS_LAST: Duration = Duration::from_secs(6 * 3600);

pub(super) async fn answer(world: Arc<World>, key: Arc<AccessKey>, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    // The first part is a version: "latest", or a date.
    let path = path.split_once('/').map_or("", |(_, rest)| rest).to_owned();
    let instance = key.instance.as_deref().unwrap_or_default();
    let verdict = {
        let now = world.now();
        world.lock().faults.judge(Service::Imds, &[key.name.as_str(), instance], &path, now)
    };
    tokio::time::sleep(verdict.delay).await;
    match verdict.outcome {
        Some(FaultKind::Hang | FaultKind::HangAfter) => return hang().await,
        Some(FaultKind::DropBefore | FaultKind::DropAfter) => return Err(dropped()),
        Some(FaultKind::Http { status }) => return Ok(text(status, "")),
        Some(FaultKind::Throttle) => return Ok(text(503, "")),
        Some(FaultKind::Deny) => return Ok(text(403, "")),
        Some(FaultKind::Delay { .. } | FaultKind::Stale { .. }) | None => (),
    }
    if !world.runs(instance) {
        return Err(dropped());
    }
    // "Requests with an X-Forwarded-For header are rejected."
    if request.headers().contains_key("x-forwarded-for") {
        return Ok(text(403, ""));
    }
    if path == "api/token" {
        return Ok(token(&world, instance, &request));
    }
    if request.method() != Method::GET {
        return Ok(text(405, ""));
    }
    if !is_authorized(&world, instance, &request) {
        return Ok(text(401, ""));
    }
    let found = lookup(&world, &key, instance, &path);
    Ok(found.map_or_else(|| text(404, "404 - Not Found"), |it| text(200, &it)))
}

fn token(world: &World, instance: &str, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() != Method::PUT {
        return text(405, "");
    }
    let header = request.headers().get(TTL).and_then(|it| it.to_str().ok());
    let Some(seconds) = header.and_then(|it| it.parse::<u64>().ok()).filter(|it| (1..=21_600).contains(it))
    else {
        return text(400, "");
    };
    let now = world.now();
    let mut inner = world.lock();
    inner.tokens.retain(|_, (_, until)| now < *until);
    let token = format!("{}==", inner.random.key(54));
    inner.tokens.insert(token.clone(), (instance.to_owned(), now + Duration::from_secs(seconds)));
    drop(inner);
    let mut response = text(200, &token);
    response.headers_mut().insert(TTL, HeaderValue::from(seconds));
    response
}

fn is_authorized(world: &World, instance: &str, request: &Request<Incoming>) -> bool {
    let Some(token) = request.headers().get(TOKEN).and_then(|it| it.to_str().ok()) else { return false };
    let now = world.now();
    let inner = world.lock();
    inner.tokens.get(token).is_some_and(|(whose, until)| whose == instance && now < *until)
}

/// A value, or the names in a folder.
fn lookup(world: &World, key: &AccessKey, instance: &str, path: &str) -> Option<String> {
    let now = world.now();
    let mut inner = world.lock();
    let account = inner.vpc.account().to_owned();
    let region = inner.vpc.region().to_owned();
    let mut tree = tree(inner.vpc.metadata_state(now), instance, &account, &region)?;
    drop(inner);
    let wall = (world.clock.wall)();
    let credentials = serde_json::json!({
        "Code": "Success",
        "LastUpdated": rfc3339(wall),
        "Type": "AWS-HMAC",
        "AccessKeyId": key.id,
        "SecretAccessKey": key.secret,
        "Token": key.token,
        "Expiration": rfc3339(wall + CREDENTIALS_LAST),
    });
    tree.insert(format!("meta-data/iam/security-credentials/{ROLE}"), credentials.to_string());
    if let Some(value) = tree.get(path) {
        return Some(value.clone());
    }
    let folder = path.trim_end_matches('/');
    let below = tree.keys().filter_map(|it| {
        if folder.is_empty() { Some(it.as_str()) } else { it.strip_prefix(folder)?.strip_prefix('/') }
    });
    let names: BTreeSet<_> =
        below.map(|it| it.split_once('/').map_or(it.to_owned(), |(name, _)| format!("{name}/"))).collect();
    if names.is_empty() { None } else { Some(names.into_iter().collect::<Vec<_>>().join("\n")) }
}

/// All values of an instance, by path.
fn tree(state: &State, instance: &str, account: &str, region: &str) -> Option<BTreeMap<String, String>> {
    let it = state.instances.get(instance)?;
    let interfaces = state.interfaces_of(instance);
    let first = interfaces.first()?;
    let hostname = format!("ip-{}.{region}.compute.internal", first.primary.to_string().replace('.', "-"));
    let mut tree = BTreeMap::new();
    let mut leaf = |path: &str, value: String| tree.insert(format!("meta-data/{path}"), value);
    leaf("ami-id", "ami-00000000000000000".to_owned());
    leaf("hostname", hostname.clone());
    leaf("instance-id", it.id.clone());
    leaf("instance-type", "m5.large".to_owned());
    leaf("local-hostname", hostname);
    leaf("local-ipv4", first.primary.to_string());
    leaf("mac", first.mac.clone());
    leaf("placement/availability-zone", it.zone.clone());
    leaf("placement/region", region.to_owned());
    leaf("services/domain", "amazonaws.com".to_owned());
    leaf("services/partition", "aws".to_owned());
    if let Some(address) = state.elastic_ip_on(&first.id, first.primary) {
        leaf("public-ipv4", address.public_ip.to_string());
    }
    for interface in &interfaces {
        for (name, value) in of_interface(state, interface, account) {
            leaf(&format!("network/interfaces/macs/{}/{name}", interface.mac), value);
        }
    }
    let document = serde_json::json!({
        "accountId": account,
        "architecture": "x86_64",
        "availabilityZone": it.zone,
        "imageId": "ami-00000000000000000",
        "instanceId": it.id,
        "instanceType": "m5.large",
        "privateIp": first.primary,
        "region": region,
        "version": "2017-09-30",
    });
    tree.insert("dynamic/instance-identity/document".to_owned(), document.to_string());
    Some(tree)
}

fn of_interface(state: &State, it: &Interface, account: &str) -> Vec<(String, String)> {
    let lines = |list: Vec<String>| list.join("\n");
    let mut leaves = vec![
        ("device-number".to_owned(), it.attachment.as_ref().map_or(0, |at| at.device_index).to_string()),
        ("interface-id".to_owned(), it.id.clone()),
        ("local-ipv4s".to_owned(), lines(it.addresses().map(|at| at.to_string()).collect())),
        ("mac".to_owned(), it.mac.clone()),
        ("owner-id".to_owned(), account.to_owned()),
        ("subnet-id".to_owned(), it.subnet.clone()),
    ];
    if let Some(subnet) = state.subnets.get(&it.subnet) {
        leaves.push(("subnet-ipv4-cidr-block".to_owned(), subnet.cidr.to_string()));
        leaves.push(("vpc-id".to_owned(), subnet.vpc.clone()));
        let vpc = state.vpcs.get(&subnet.vpc).map(|at| at.cidr.to_string());
        leaves.extend(vpc.map(|cidr| ("vpc-ipv4-cidr-block".to_owned(), cidr)));
        let ipv6 = subnet.ipv6_cidr.map(|at| at.to_string());
        leaves.extend(ipv6.map(|cidr| ("subnet-ipv6-cidr-blocks".to_owned(), cidr)));
    }
    if !it.ipv6.is_empty() {
        leaves.push(("ipv6s".to_owned(), lines(it.ipv6.iter().map(ToString::to_string).collect())));
    }
    let mut public = Vec::new();
    for address in it.addresses() {
        if let Some(elastic) = state.elastic_ip_on(&it.id, address) {
            leaves.push((format!("ipv4-associations/{}", elastic.public_ip), address.to_string()));
            public.push(elastic.public_ip.to_string());
        }
    }
    if !public.is_empty() {
        leaves.push(("public-ipv4s".to_owned(), lines(public)));
    }
    leaves
}

fn text(status: u16, body: &str) -> Response<Full<Bytes>> {
    reply(status, "text/plain", body.to_owned())
}
