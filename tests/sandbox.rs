//! The sandbox as its clients see it: over HTTP, with signatures, metadata, orders and faults.

#![allow(clippy::disallowed_methods, reason = "a test is its own clock")]
#![allow(clippy::unwrap_used, reason = "a test ends where it fails, helpers too")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use standin::sandbox::server::{Credentials, parse};
use standin::sandbox::{Clock, Options, Running, Spec, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

fn options() -> Options {
    let start = Instant::now();
    Options {
        port: 0,
        clock: Clock {
            monotonic: Arc::new(move || start.elapsed()),
            wall: Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap()),
        },
    }
}

async fn pair() -> Running {
    let mut spec = Spec::pair();
    spec.settings.hard_stop_time = Duration::from_millis(50);
    serve(spec, options()).await.unwrap()
}

/// Status and body; an error if the connection ends without an answer.
async fn send(url: &str, request: Request<Full<Bytes>>) -> Result<(u16, String), String> {
    let stream =
        TcpStream::connect(url.strip_prefix("http://").unwrap()).await.map_err(|it| it.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|it| it.to_string())?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|it| it.to_string())?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|it| it.to_string())?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

fn hmac(key: &[u8], data: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}

/// A request as an SDK signs it.
fn signed(key: &Credentials, form: &str) -> Request<Full<Bytes>> {
    let (date, scope) = ("20260101T000000Z", "20260101/ap-northeast-1/ec2/aws4_request");
    let mut headers = vec![("host", "sandbox".to_owned()), ("x-amz-date", date.to_owned())];
    headers.extend(key.session_token.clone().map(|it| ("x-amz-security-token", it)));
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex(&Sha256::digest(form)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let secret = format!("AWS4{}", key.secret_access_key).into_bytes();
    let signing = scope.split('/').fold(secret, |key, part| hmac(&key, part));
    let signature = hex(&hmac(&signing, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        key.access_key_id
    );
    let mut request = Request::builder().method(Method::POST).uri("/").header("authorization", authorization);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::new(Bytes::copy_from_slice(form.as_bytes()))).unwrap()
}

async fn call(sandbox: &Running, who: &Credentials, form: &str) -> Result<(u16, String), String> {
    send(&sandbox.ec2_url, signed(who, &format!("{form}&Version=2016-11-15"))).await
}

/// What is in the element of this name, the first one.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let start = xml.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    start.split_once(&format!("</{name}>")).map_or("", |(inner, _)| inner)
}

async fn order(sandbox: &Running, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = Request::builder().method(method).uri(format!("/_sandbox/{path}")).header("host", "x");
    let (status, body) = send(&sandbox.ec2_url, request.body(Full::new(body.into())).unwrap()).await.unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

async fn fault(sandbox: &Running, fault: Value) {
    assert_eq!(order(sandbox, Method::POST, "faults", fault).await.0, 200);
}

fn take(sandbox: &Running) -> String {
    format!(
        "Action=AssignPrivateIpAddresses&NetworkInterfaceId={}&PrivateIpAddress.1=127.0.0.100&AllowReassignment=true",
        sandbox.instances[1].interfaces[0].id
    )
}

fn holder(sandbox: &Running) -> String {
    sandbox.with_vpc(|vpc| vpc.private_ip_holder("127.0.0.100".parse().unwrap()).unwrap().instance.unwrap())
}

const READ: &str = "Action=DescribeAddresses";

#[tokio::test]
async fn only_a_valid_signature_is_answered() {
    let sandbox = pair().await;
    let (status, body) = call(&sandbox, &sandbox.operator, READ).await.unwrap();
    assert_eq!((status, body.matches("<publicIp>").count()), (200, 3), "{body}");
    assert!(body.contains("xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\""));

    let mut wrong = sandbox.operator.clone();
    wrong.secret_access_key.push('x');
    let mut unknown = sandbox.operator.clone();
    unknown.access_key_id = "AKIANOBODY".to_owned();
    let mut no_token = sandbox.instances[0].credentials.clone();
    no_token.session_token = None;
    for key in [wrong, unknown, no_token] {
        let (status, body) = call(&sandbox, &key, READ).await.unwrap();
        assert_eq!((status, element(&body, "Code")), (401, "AuthFailure"));
    }
    let unsigned = Request::post("/").body(Full::new(Bytes::from(READ))).unwrap();
    assert_eq!(send(&sandbox.ec2_url, unsigned).await.unwrap().0, 401);
    let mut changed = signed(&sandbox.operator, READ);
    *changed.body_mut() = Full::new(Bytes::from(take(&sandbox)));
    assert_eq!(send(&sandbox.ec2_url, changed).await.unwrap().0, 401);
    sandbox.shutdown().await;
}

#[tokio::test]
async fn faults_meet_one_node_and_not_the_other() {
    let sandbox = pair().await;
    let (a, b) = (sandbox.instances[0].credentials.clone(), sandbox.instances[1].credentials.clone());
    fault(&sandbox, json!({"kind": "deny", "action": "DescribeAddresses", "caller": "ivr-b", "count": 1}))
        .await;
    fault(&sandbox, json!({"kind": "http", "status": 503, "caller": "ivr-b", "count": 1})).await;
    assert_eq!(call(&sandbox, &a, READ).await.unwrap().0, 200);
    let (status, body) = call(&sandbox, &b, READ).await.unwrap();
    assert_eq!((status, element(&body, "Code")), (403, "UnauthorizedOperation"));
    assert_eq!(call(&sandbox, &b, READ).await.unwrap().0, 503);
    assert_eq!(call(&sandbox, &b, READ).await.unwrap().0, 200);

    // Cut off: no answer at all, until it is over.
    fault(&sandbox, json!({"kind": "hang", "caller": "ivr-b"})).await;
    assert!(timeout(Duration::from_millis(200), call(&sandbox, &b, READ)).await.is_err());
    assert_eq!(call(&sandbox, &a, READ).await.unwrap().0, 200);
    order(&sandbox, Method::DELETE, "faults", Value::Null).await;
    assert_eq!(call(&sandbox, &b, READ).await.unwrap().0, 200);
    let (_, state) = order(&sandbox, Method::GET, "state", Value::Null).await;
    assert_eq!(state["calls"]["ivr-b DescribeAddresses UnauthorizedOperation"], 1);
}

#[tokio::test]
async fn a_dropped_connection_may_have_acted_or_not() {
    let sandbox = pair().await;
    let b = sandbox.instances[1].credentials.clone();
    let (old, new) = (sandbox.instances[0].instance_id.clone(), sandbox.instances[1].instance_id.clone());
    fault(&sandbox, json!([{"kind": "drop-before", "count": 1}, {"kind": "drop-after", "count": 1}])).await;
    assert!(call(&sandbox, &b, &take(&sandbox)).await.is_err());
    assert_eq!(holder(&sandbox), old);
    assert!(call(&sandbox, &b, &take(&sandbox)).await.is_err());
    assert_eq!(holder(&sandbox), new);

    order(&sandbox, Method::POST, "reset", Value::Null).await;
    assert_eq!(holder(&sandbox), old);
    fault(&sandbox, json!({"kind": "hang-after", "action": "Assign*"})).await;
    assert!(timeout(Duration::from_millis(200), call(&sandbox, &b, &take(&sandbox))).await.is_err());
    assert_eq!(holder(&sandbox), new);
}

#[tokio::test]
async fn a_delay_takes_its_time_and_acts_in_the_middle_of_it() {
    let sandbox = pair().await;
    fault(&sandbox, json!({"kind": "delay", "ms": 200, "action": "AssignPrivateIpAddresses"})).await;
    let (began, start) = (Instant::now(), sandbox.now());
    assert_eq!(call(&sandbox, &sandbox.operator, &take(&sandbox)).await.unwrap().0, 200);
    assert!(began.elapsed() >= Duration::from_millis(200));
    let changed = sandbox.with_vpc(|vpc| Duration::from_micros(vpc.changes(0).next().unwrap().at_us));
    assert!(
        changed >= start + Duration::from_millis(100) && changed < sandbox.now() - Duration::from_millis(90)
    );
}

#[tokio::test]
async fn stale_reads_come_and_go() {
    let sandbox = pair().await;
    // So that there is a past to look at, by the clock of the sandbox.
    tokio::time::sleep(Duration::from_millis(50)).await;
    call(&sandbox, &sandbox.operator, &take(&sandbox)).await.unwrap();
    fault(&sandbox, json!({"kind": "stale", "ms": 60_000})).await;
    let mut old = 0;
    for _ in 0..20 {
        let (_, body) = call(&sandbox, &sandbox.operator, READ).await.unwrap();
        old += usize::from(body.contains(&sandbox.instances[0].interfaces[0].id));
    }
    assert!(old > 10, "{old}");
    order(&sandbox, Method::DELETE, "faults/1", Value::Null).await;
    let (_, body) = call(&sandbox, &sandbox.operator, READ).await.unwrap();
    assert!(body.contains(&sandbox.instances[1].interfaces[0].id));
}

#[tokio::test]
async fn the_log_numbers_every_effective_change() {
    let sandbox = pair().await;
    call(&sandbox, &sandbox.instances[1].credentials, &take(&sandbox)).await.unwrap();
    call(&sandbox, &sandbox.instances[1].credentials, &take(&sandbox)).await.unwrap();
    let (_, state) = order(&sandbox, Method::GET, "state?since=0", Value::Null).await;
    let changes = state["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!((&changes[0]["seq"], &changes[1]["seq"]), (&json!(1), &json!(2)));
    assert_eq!(changes[0]["by"], "ivr-b");
    let kinds = [&changes[0]["subject"]["kind"], &changes[1]["subject"]["kind"]];
    assert_eq!(kinds, ["elastic-ip", "private-ip"]);
    let held = state["holders"].as_array().unwrap().iter().find(|it| it["kind"] == "private-ip").unwrap();
    assert_eq!(held["node"], "ivr-b");
    let (_, state) = order(&sandbox, Method::GET, "state?since=2", Value::Null).await;
    assert_eq!(state["changes"], json!([]));
}

#[tokio::test]
async fn orders_that_make_no_sense_are_refused() {
    let sandbox = pair().await;
    for (method, path, body, expected) in [
        (Method::POST, "faults", json!({"kind": "earthquake"}), 400),
        (Method::POST, "faults", json!("nonsense"), 400),
        (Method::DELETE, "faults/7", Value::Null, 404),
        (Method::POST, "instances/ivr-z/stop", Value::Null, 404),
        (Method::POST, "instances/ivr-a/dance", Value::Null, 404),
        (Method::GET, "nowhere", Value::Null, 404),
    ] {
        let (status, answer) = order(&sandbox, method, path, body).await;
        assert_eq!(status, expected, "{path}");
        assert!(answer["error"].is_string());
    }
}

async fn metadata(
    url: &str,
    method: Method,
    path: &str,
    header: (&str, &str),
) -> Result<(u16, String), String> {
    let request = Request::builder().method(method).uri(format!("/latest/{path}")).header("host", "x");
    send(url, request.header(header.0, header.1).body(Full::default()).unwrap()).await
}

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

#[tokio::test]
async fn metadata_needs_a_token_and_tells_an_instance_about_itself() {
    let sandbox = pair().await;
    let (a, b) = (&sandbox.instances[0], &sandbox.instances[1]);
    let url = &a.imds_url;
    let get = |path: &'static str, token: String| async move {
        metadata(url, Method::GET, path, (TOKEN, &token)).await.unwrap()
    };
    assert_eq!(get("meta-data/instance-id", "nonsense".to_owned()).await.0, 401);
    assert_eq!(metadata(url, Method::PUT, "api/token", (TTL, "0")).await.unwrap().0, 400);
    assert_eq!(metadata(url, Method::GET, "api/token", (TTL, "60")).await.unwrap().0, 405);
    let (_, others) = metadata(&b.imds_url, Method::PUT, "api/token", (TTL, "60")).await.unwrap();
    assert_eq!(get("meta-data/instance-id", others).await.0, 401);

    let (status, token) = metadata(url, Method::PUT, "api/token", (TTL, "21600")).await.unwrap();
    assert_eq!(status, 200);
    let value = |path| {
        let token = token.clone();
        async move { get(path, token).await }
    };
    assert_eq!(value("meta-data/instance-id").await, (200, a.instance_id.clone()));
    assert_eq!(value("meta-data/placement/region").await.1, "ap-northeast-1");
    assert_eq!(value("meta-data/nothing").await.0, 404);
    assert_eq!(value("meta-data/iam/security-credentials/").await.1, "standin");
    let macs = value("meta-data/network/interfaces/macs/").await.1;
    assert_eq!(macs.lines().count(), 2);
    let mac = value("meta-data/mac").await.1;
    assert!(macs.contains(&format!("{mac}/")));
    let path = format!("meta-data/network/interfaces/macs/{mac}/local-ipv4s").leak();
    assert_eq!(value(path).await.1, "127.0.0.11\n127.0.0.100");
    let document: Value = serde_json::from_str(&value("dynamic/instance-identity/document").await.1).unwrap();
    assert_eq!(document["instanceId"], a.instance_id.as_str());

    // The credentials are good for calls, and are this instance's.
    let text = value("meta-data/iam/security-credentials/standin").await.1;
    let found: Value = serde_json::from_str(&text).unwrap();
    assert!(found["Expiration"].as_str().unwrap() > found["LastUpdated"].as_str().unwrap());
    let keys = Credentials {
        access_key_id: found["AccessKeyId"].as_str().unwrap().to_owned(),
        secret_access_key: found["SecretAccessKey"].as_str().unwrap().to_owned(),
        session_token: Some(found["Token"].as_str().unwrap().to_owned()),
    };
    assert_eq!(call(&sandbox, &keys, READ).await.unwrap().0, 200);
    let (_, state) = order(&sandbox, Method::GET, "state", Value::Null).await;
    assert_eq!(state["calls"]["ivr-a DescribeAddresses OK"], 1);
}

#[tokio::test]
async fn metadata_fails_on_request_and_with_its_instance() {
    let sandbox = pair().await;
    let url = sandbox.instances[0].imds_url.clone();
    let token = || metadata(&url, Method::PUT, "api/token", (TTL, "60"));
    let mut on_imds =
        json!({"kind": "http", "service": "imds", "caller": "ivr-a", "action": "api*", "count": 1});
    fault(&sandbox, on_imds.clone()).await;
    assert_eq!(token().await.unwrap().0, 500);
    on_imds["kind"] = json!("hang");
    fault(&sandbox, on_imds.clone()).await;
    assert!(timeout(Duration::from_millis(200), token()).await.is_err());
    on_imds["kind"] = json!("drop-before");
    fault(&sandbox, on_imds).await;
    assert!(token().await.is_err());
    assert_eq!(token().await.unwrap().0, 200);

    order(&sandbox, Method::POST, "instances/ivr-a/stop", Value::Null).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(token().await.is_err());
    // Nor does a stopped instance reach EC2, though its process may still be there.
    assert!(call(&sandbox, &sandbox.instances[0].credentials, READ).await.is_err());
    assert_eq!(call(&sandbox, &sandbox.instances[1].credentials, READ).await.unwrap().0, 200);
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_garbage_hurts_nobody() {
    let sandbox = pair().await;
    let address = sandbox.ec2_url.strip_prefix("http://").unwrap();
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(b"\x00\xff\r\n\r\nGET / HTTP/9.9\r\n\r\n").await.unwrap();
    let mut ignored = Vec::new();
    let _ = garbage.read_to_end(&mut ignored).await;

    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /_sandbox/faults HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    }
    let long = Request::post("/").body(Full::new(Bytes::from(vec![b'a'; 2 << 20]))).unwrap();
    // Refused while it is still being sent: either the answer arrives or the connection ends.
    if let Ok((status, _)) = send(&sandbox.ec2_url, long).await {
        assert_eq!(status, 413);
    }
    assert_eq!(call(&sandbox, &sandbox.operator, READ).await.unwrap().0, 200);
}

#[tokio::test]
async fn what_cannot_be_served_is_said() {
    let taken = pair().await;
    let port = taken.ec2_url.rsplit(':').next().unwrap().parse().unwrap();
    let error = serve(Spec::pair(), Options { port, ..options() }).await.unwrap_err();
    assert!(error.to_string().contains(&format!("port {port}")), "{error}");
    let mut spec = Spec::pair();
    spec.private_ip[0].holder = Some("ivr-z".to_owned());
    let error = serve(spec, options()).await.unwrap_err();
    assert!(error.to_string().contains("ivr-z"), "{error}");
}

/// Forms that look like requests, so that the parser gets further than the action.
fn form() -> impl Strategy<Value = String> {
    let actions = prop::sample::select(vec![
        "DescribeAddresses",
        "DescribeNetworkInterfaces",
        "DescribeRouteTables",
        "DescribeInstances",
        "DescribeInstanceStatus",
        "DescribeInstanceAttribute",
        "ModifyInstanceAttribute",
        "AssociateAddress",
        "DisassociateAddress",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
        "CreateRoute",
        "ReplaceRoute",
        "DeleteRoute",
        "RebootInstances",
        "StopInstances",
        "StartInstances",
        "TerminateInstances",
        "CreateTags",
        "DeleteTags",
        "ModifyNetworkInterfaceAttribute",
    ]);
    let names = prop::sample::select(vec![
        "Filter.1.Name",
        "Filter.1.Value.1",
        "Filter.4294967296.Name",
        "Filter..Name",
        "Filter.1",
        "Tag.1.Key",
        "Tag.1.Value",
        "ResourceId.1",
        "InstanceId",
        "InstanceId.1",
        "AllocationId",
        "AllocationId.1",
        "NetworkInterfaceId",
        "PrivateIpAddress",
        "PrivateIpAddress.1",
        "RouteTableId",
        "DestinationCidrBlock",
        "DestinationIpv6CidrBlock",
        "DryRun",
        "Attribute",
        "DisableApiStop.Value",
        "MaxResults",
        "SecondaryPrivateIpAddressCount",
        "LocalTarget",
    ]);
    let values = prop_oneof![
        "[ -~]{0,20}",
        Just("true".to_owned()),
        Just("10.0.0.5".to_owned()),
        Just("10.0.0.0/24".to_owned()),
        Just("eni-00000000000000000".to_owned()),
        Just("é\u{0}".to_owned()),
    ];
    (actions, prop::collection::vec((names, values), 0..8)).prop_map(|(action, fields)| {
        let mut form = form_urlencoded::Serializer::new(format!("Action={action}"));
        form.extend_pairs(fields).finish()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }

    #[test]
    fn anything_like_a_request_is_parsed_or_refused(form in form()) {
        if let Err(error) = parse(form.as_bytes()) {
            prop_assert!(!error.code.is_empty());
        }
    }
}

mod command {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn sandbox(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
        command.arg("sandbox").args(arguments).stdin(Stdio::null());
        command
    }

    #[test]
    fn it_prints_what_it_made_and_ends_when_told() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outside/vpc.toml");
        let mut child = sandbox(&["--config", file, "--json"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let made: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(made["instances"].as_array().unwrap().len(), 4);
        assert!(made["ec2_url"].as_str().unwrap().starts_with("http://127.0.0.1:"));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn the_same_seed_prints_the_same_ids() {
        let made = || {
            let mut child = sandbox(&["--json"]).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let made: Value = serde_json::from_str(&line).unwrap();
            (made["elastic_ips"].clone(), made["route_tables"].clone(), made["operator"].clone())
        };
        assert_eq!(made(), made());
    }

    #[test]
    fn a_bad_description_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.toml");
        std::fs::write(&file, "[[vpc]]\nname = \"v\"\ncidr = \"10.0.0.0/99\"\n").unwrap();
        let output = sandbox(&["--config", file.to_str().unwrap()]).output().unwrap();
        assert!(!output.status.success());
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("bad.toml") && message.contains("line 3"), "{message}");
        let output = sandbox(&["--config", "/nowhere/at-all.toml"]).output().unwrap();
        assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read /nowhere/at-all.toml"));
    }
}
