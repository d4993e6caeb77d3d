//! The lease over the wire: the real SDK against moto's DynamoDB, directly and over a line that hangs, breaks,
//! answers late, or is not there.
//!
//! The environment cannot be changed inside a process without unsafe code, so that each scenario runs in a child of
//! its own: the parent serves, and the child is the node. `./test` makes the Python environment that moto is in.

#![allow(clippy::disallowed_methods, reason = "a test has the real clock")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where it fails, and says why")]

mod line;
mod server;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use standin::cloud::aws::Access;
use standin::cloud::dynamodb::{DynamoDb, Table};
use standin::cloud::lease::creation;
use standin::cloud::{CloudError, ErrorKind, LeaseItem, LeaseTable, Settings};

use line::{Line, Weather};

const TABLE: &str = "standin-leases";
const REGION: &str = "eu-west-1";
const GROUP: &str = "ivr-tokyo/ivr";
/// For calls that are to be answered, on however busy a machine.
const PATIENT: Duration = Duration::from_secs(30);
/// For calls that will not be.
const HASTY: Duration = Duration::from_secs(2);

// The parents.

#[test]
fn many_clients_never_have_two_winners() {
    as_a_node("child_races");
}

#[test]
fn an_attempt_without_an_answer_is_settled_by_its_nonce() {
    as_a_node("child_loses_answers");
}

#[test]
fn a_missing_table_is_made_by_the_command_in_the_message() {
    as_a_node("child_finds_no_table");
}

#[test]
fn a_bad_line_has_its_names() {
    as_a_node("child_meets_faults");
}

#[test]
fn what_dynamodb_refuses_has_its_names() {
    as_a_node("child_is_refused");
}

fn as_a_node(test: &str) {
    let Some(server) = server::start() else { return };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    let output = command
        .env("HOME", "/nonexistent")
        .env("AWS_ACCESS_KEY_ID", "AKIANODE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("LEASE_SERVER", &server.url)
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    println!("{text}");
}

// The children.

fn server_url() -> String {
    std::env::var("LEASE_SERVER").unwrap()
}

/// A node of its own: its own credentials, its own connections.
async fn node(url: &str) -> DynamoDb {
    with_bound(url, PATIENT).await
}

async fn with_bound(url: &str, call_timeout: Duration) -> DynamoDb {
    let settings = Settings { region: Some(REGION.to_owned()), ..Settings::default() };
    let access = Access::open(&settings).await.unwrap();
    let table = Table { name: TABLE.to_owned(), endpoint_url: Some(url.to_owned()), call_timeout };
    DynamoDb::on(&access, &table)
}

fn item(owner: &str, nonce: u64, term: u64) -> LeaseItem {
    let written_at = "2026-01-01T00:00:00Z".to_owned();
    LeaseItem { owner: Some(owner.to_owned()), nonce, term, length_ms: 10_000, written_at }
}

/// Runs a command of ours by the real AWS CLI.
fn aws(command: &str) {
    let words = command.strip_prefix("aws ").unwrap();
    let status = Command::new(server::program("aws").unwrap())
        .args(words.split_whitespace())
        .args(["--endpoint-url", &server_url(), "--output", "json"])
        .output()
        .unwrap();
    assert!(status.status.success(), "{command}: {}", String::from_utf8_lossy(&status.stderr));
}

fn kind<T: std::fmt::Debug>(answer: &Result<T, CloudError>) -> ErrorKind {
    answer.as_ref().unwrap_err().kind
}

#[tokio::test]
#[ignore = "a child"]
async fn child_finds_no_table() {
    let node = node(&server_url()).await;
    for answer in [node.read(GROUP).await.map(drop), node.write(GROUP, None, &item("a", 1, 1)).await] {
        let error = answer.unwrap_err();
        println!("{error}");
        assert_eq!(error.kind, ErrorKind::NotFound);
        let text = error.to_string();
        let (_, command) = text.split_once("make it by ").unwrap();
        let (command, _) = command.split_once(" [").unwrap();
        assert_eq!(command, creation(TABLE, REGION));
    }
    aws(&creation(TABLE, REGION));
    assert_eq!(node.read(GROUP).await, Ok(None));
    node.write(GROUP, None, &item("ivr-a", 1, 1)).await.unwrap();
    assert_eq!(node.read(GROUP).await, Ok(Some(item("ivr-a", 1, 1))));
    // Given back: nobody's, and still a value to be outwritten.
    let free = LeaseItem { owner: None, ..item("", 2, 1) };
    node.write(GROUP, Some(1), &free).await.unwrap();
    assert_eq!(node.read(GROUP).await, Ok(Some(free)));
    assert_eq!(node.read("ivr-tokyo/other").await, Ok(None), "another group is another lease");

    // A table of something else is said to be one.
    aws(&format!("aws dynamodb delete-table --region {REGION} --table-name {TABLE}"));
    aws(&creation(TABLE, REGION).replace("=group,", "=id,"));
    let error = node.read(GROUP).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.to_string().contains("create-table"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a child"]
async fn child_races() {
    const NODES: u64 = 12;
    const ROUNDS: u64 = 8;
    aws(&creation(TABLE, REGION));
    let url = server_url();
    let mut tasks = Vec::new();
    for number in 1..=NODES {
        let url = url.clone();
        tasks.push(tokio::spawn(async move {
            let node = node(&url).await;
            let mut wins = Vec::new();
            for round in 0..ROUNDS {
                let Ok(stands) = node.read(GROUP).await else { continue };
                let expect = stands.as_ref().map(|it| it.nonce);
                let term = stands.map_or(1, |it| it.term + 1);
                let nonce = number << 32 | round;
                match node.write(GROUP, expect, &item(&format!("ivr-{number}"), nonce, term)).await {
                    Ok(()) => wins.push((expect, nonce, term)),
                    Err(error) => assert_eq!(error.kind, ErrorKind::Conflict, "{error}"),
                }
            }
            wins
        }));
    }
    let mut wins = Vec::new();
    for task in tasks {
        wins.extend(task.await.unwrap());
    }
    wins.sort_by_key(|(_, _, term)| *term);
    println!("{} writes of {NODES} nodes, {} winners", NODES * ROUNDS, wins.len());
    // Each value was outwritten once, by the one that the next winner read: a chain without a fork.
    let mut last = None;
    for (number, (expect, nonce, term)) in (1..).zip(&wins) {
        assert_eq!((*expect, *term), (last, number), "{wins:?}");
        last = Some(*nonce);
    }
    let stands = node(&url).await.read(GROUP).await.unwrap().unwrap();
    assert_eq!(Some(stands.nonce), last);
    assert!((wins.len() as u64) < NODES * ROUNDS, "nobody ever lost: that was no race");
}

#[tokio::test]
#[ignore = "a child"]
async fn child_loses_answers() {
    aws(&creation(TABLE, REGION));
    let line = Line::to(&server_url()).await;
    let (one, two) = (node(&line.url).await, node(&server_url()).await);
    let mine = item("ivr-a", 1, 1);

    // It has landed, and its answer is lost: what stands there says so, and a repetition is no conflict.
    line.set(Weather::DropAnswers);
    let lost = one.write(GROUP, None, &mine).await;
    println!("{}", lost.as_ref().unwrap_err());
    assert_eq!(kind(&lost), ErrorKind::NoAnswer);
    line.set(Weather::Fair);
    assert_eq!(one.read(GROUP).await, Ok(Some(mine.clone())));
    assert_eq!(one.write(GROUP, None, &mine).await, Ok(()));

    // Another's write on the same condition is one.
    let theirs = two.write(GROUP, None, &item("ivr-b", 2, 2)).await;
    println!("{}", theirs.as_ref().unwrap_err());
    assert_eq!(kind(&theirs), ErrorKind::Conflict);
    assert!(theirs.unwrap_err().to_string().contains("ivr-a has it, with term 1"));

    // It has landed, but somebody has outwritten it before it is repeated: that is a conflict.
    line.set(Weather::DropAnswers);
    let renewed = item("ivr-a", 3, 1);
    assert_eq!(kind(&one.write(GROUP, Some(1), &renewed).await), ErrorKind::NoAnswer);
    two.write(GROUP, Some(3), &item("ivr-b", 4, 2)).await.unwrap();
    line.set(Weather::Fair);
    assert_eq!(kind(&one.write(GROUP, Some(1), &renewed).await), ErrorKind::Conflict);

    // It never arrived.
    line.set(Weather::Hang);
    let hasty = with_bound(&line.url, HASTY).await;
    assert_eq!(kind(&hasty.write(GROUP, Some(4), &item("ivr-b", 5, 2)).await), ErrorKind::NoAnswer);
    assert_eq!(two.read(GROUP).await.unwrap().unwrap().nonce, 4);
}

#[tokio::test]
#[ignore = "a child"]
async fn child_meets_faults() {
    aws(&creation(TABLE, REGION));
    let line = Line::to(&server_url()).await;
    let (node, hasty) = (node(&line.url).await, with_bound(&line.url, HASTY).await);
    node.write(GROUP, None, &item("ivr-a", 1, 1)).await.unwrap();
    let cases = [Weather::Hang, Weather::DropAnswers, Weather::Late(PATIENT), Weather::Half];
    for weather in cases {
        line.set(weather.clone());
        let begun = Instant::now();
        let before = line.requests();
        let outwrite = item("ivr-b", 2, 2);
        let (read, write) =
            futures_util::future::join(hasty.read(GROUP), hasty.write(GROUP, Some(77), &outwrite)).await;
        println!("{weather:?}, after {:?}: {}", begun.elapsed(), write.as_ref().unwrap_err());
        assert_eq!((kind(&read), kind(&write)), (ErrorKind::NoAnswer, ErrorKind::NoAnswer), "{weather:?}");
        assert_eq!(line.requests() - before, 2, "{weather:?}: each is sent once");
    }
    // Late, but within the bound, is an answer.
    line.set(Weather::Late(Duration::from_millis(200)));
    assert_eq!(node.read(GROUP).await.unwrap().unwrap().nonce, 1);
    // Nobody listens: it was certainly not sent.
    let nowhere = self::node("http://127.0.0.1:9").await;
    let error = nowhere.write(GROUP, None, &item("ivr-a", 1, 1)).await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind, ErrorKind::Unreachable);
    assert!(error.to_string().contains("lease.endpoint-url"), "{error}");
    // After all of that the line is used again.
    line.set(Weather::Fair);
    assert_eq!(hasty.read(GROUP).await.unwrap().unwrap().nonce, 1);
}

#[tokio::test]
#[ignore = "a child"]
async fn child_is_refused() {
    let line = Arc::new(Line::to(&server_url()).await);
    let node = node(&line.url).await;
    let cases = [
        (400, "ProvisionedThroughputExceededException", ErrorKind::Throttled),
        (400, "RequestLimitExceeded", ErrorKind::Throttled),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (400, "TransactionConflictException", ErrorKind::Throttled),
        (400, "AccessDeniedException", ErrorKind::Denied),
        (400, "UnrecognizedClientException", ErrorKind::Credentials),
        (400, "ExpiredTokenException", ErrorKind::Credentials),
        (400, "ResourceNotFoundException", ErrorKind::NotFound),
        (400, "ValidationException", ErrorKind::Invalid),
        (500, "InternalServerError", ErrorKind::NoAnswer),
        (503, "ServiceUnavailable", ErrorKind::NoAnswer),
    ];
    for (status, code, expected) in cases {
        let body = format!(
            r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "as the test said"}}"#
        );
        line.set(Weather::Answer(status, body));
        let before = line.requests();
        let read = node.read(GROUP).await;
        let write = node.write(GROUP, Some(1), &item("ivr-a", 2, 1)).await;
        println!("{}", write.as_ref().unwrap_err());
        assert_eq!((kind(&read), kind(&write)), (expected, expected), "{code}");
        let error = write.unwrap_err();
        assert_eq!(error.code.as_deref(), Some(code));
        assert_eq!(error.request_id.as_deref(), Some("REQ1"));
        assert_eq!(line.requests() - before, 2, "{code}: each is sent once");
        if expected == ErrorKind::Denied {
            assert!(error.to_string().contains("allow dynamodb:PutItem"), "{error}");
        }
    }
}
