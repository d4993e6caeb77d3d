use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::config::{Http, OnFail, Sip, Transport, When};

fn check(kind: CheckKind, timeout: u64) -> Checker {
    let check = Check {
        name: "it".into(),
        kind,
        every: Duration::from_secs(2),
        timeout: Duration::from_millis(timeout),
        rise: 1,
        fall: 3,
        when: When::Always,
        on_fail: OnFail::Report,
    };
    Checker::new(check, About { cluster: "c".into(), group: "g".into(), node: "n".into() }, None)
}

async fn asked(kind: CheckKind, timeout: u64) -> Outcome {
    check(kind, timeout).ask().await
}

fn failed(outcome: &Outcome, text: &str) -> bool {
    matches!(outcome, Outcome::Failed(it) if it.contains(text))
}

fn unknown(outcome: &Outcome, text: &str) -> bool {
    matches!(outcome, Outcome::Unknown(it) if it.contains(text))
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A server that hears one request on each connection, and says this.
async fn server(says: impl Fn(String) -> Vec<u8> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let says = Arc::new(says);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let says = Arc::clone(&says);
            tokio::spawn(async move {
                let request = heard(&mut stream).await;
                let answer = says(request);
                if answer.is_empty() {
                    // Silence, with the connection open.
                    std::future::pending::<()>().await;
                }
                let _gone = stream.write_all(&answer).await;
            });
        }
    });
    at
}

async fn heard(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 512];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn a_tcp_check_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    assert_eq!(asked(CheckKind::Tcp(vec![at], Need::Any), 5000).await, Outcome::Ok);
    drop(listener);
    let refused = asked(CheckKind::Tcp(vec![at], Need::Any), 5000).await;
    assert!(failed(&refused, "refused"), "{refused:?}");
    // A queue that is full answers nobody: the connection is neither made nor refused.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let at = socket.local_addr().unwrap().as_socket().unwrap();
    let _in_the_queue = TcpStream::connect(at).await.unwrap();
    let silent = asked(CheckKind::Tcp(vec![at], Need::Any), 100).await;
    assert_eq!(silent, Outcome::Failed("no answer within 100ms".into()));
}

#[tokio::test]
async fn of_several_targets_any_or_all_have_to_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = listener.local_addr().unwrap();
    let gone = nobody().await;
    let of = |targets: Vec<SocketAddr>, need| asked(CheckKind::Tcp(targets, need), 5000);
    assert_eq!(of(vec![gone, there], Need::Any).await, Outcome::Ok);
    let one = of(vec![there, gone], Need::All).await;
    assert!(failed(&one, &format!("{gone}: ")), "{one:?}");
    assert_eq!(of(vec![there, there], Need::All).await, Outcome::Ok);
    let none = of(vec![gone, gone], Need::Any).await;
    assert!(failed(&none, "; "), "each of them is named: {none:?}");
}

#[tokio::test]
async fn what_depends_on_an_unknown_target_is_unknown() {
    let outcomes = |it: &&str| {
        let outcome = match *it {
            "ok" => Outcome::Ok,
            "failed" => Outcome::Failed("f".into()),
            "degraded" => Outcome::Degraded("d".into()),
            _ => Outcome::Unknown("u".into()),
        };
        std::future::ready(outcome)
    };
    let of = |targets: &'static [&'static str], need| of_several(targets, need, outcomes);
    assert_eq!(of(&["unknown", "ok"], Need::Any).await, Outcome::Ok);
    assert_eq!(of(&["failed", "unknown"], Need::Any).await, Outcome::Unknown("unknown: u".into()));
    assert_eq!(of(&["unknown", "failed"], Need::All).await, Outcome::Failed("failed: f".into()));
    assert_eq!(of(&["ok", "unknown"], Need::All).await, Outcome::Unknown("unknown: u".into()));
    assert_eq!(of(&["ok", "degraded"], Need::All).await, Outcome::Degraded("degraded: d".into()));
    assert_eq!(of(&["failed", "degraded"], Need::Any).await, Outcome::Degraded("degraded: d".into()));
    assert_eq!(of(&["failed"], Need::Any).await, Outcome::Failed("f".into()));
}

fn http(server: SocketAddr, status: Option<u16>, body_contains: Option<&str>) -> CheckKind {
    let body_contains = body_contains.map(str::to_owned);
    CheckKind::Http(Http { server, path: "/health?deep".into(), status, body_contains })
}

#[tokio::test]
async fn an_http_check_wants_a_status_and_perhaps_a_text() {
    let at = server(|request| {
        assert!(request.starts_with("GET /health?deep HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("\r\nhost: 127.0.0.1:"), "{request}");
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well".to_vec()
    })
    .await;
    assert_eq!(asked(http(at, None, None), 5000).await, Outcome::Ok);
    assert_eq!(asked(http(at, Some(200), Some("is well")), 5000).await, Outcome::Ok);
    let other = asked(http(at, Some(204), None), 5000).await;
    assert_eq!(other, Outcome::Failed("it answers 200 OK".into()));
    let other = asked(http(at, None, Some("is bad")), 5000).await;
    assert!(failed(&other, "does not contain \"is bad\""), "{other:?}");
    for (line, good) in [("302 Found", true), ("404 Not Found", false), ("503 Busy", false)] {
        let at = server(move |_| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes()).await;
        assert_eq!(asked(http(at, None, None), 5000).await == Outcome::Ok, good, "{line}");
    }
}

#[tokio::test]
async fn an_http_server_that_says_nothing_or_nonsense_or_too_much_has_failed() {
    let silent = server(|_| Vec::new()).await;
    let outcome = asked(http(silent, None, None), 100).await;
    assert_eq!(outcome, Outcome::Failed("no answer within 100ms".into()));
    let nonsense = server(|_| b"220 mail.example.com ESMTP\r\n".to_vec()).await;
    assert!(failed(&asked(http(nonsense, None, None), 5000).await, ""));
    let endless = server(|_| {
        let mut said = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        said.extend(std::iter::repeat_n(b'x', 70_000));
        said.extend_from_slice(b"needle");
        said
    })
    .await;
    assert!(failed(&asked(http(endless, None, Some("needle")), 5000).await, "does not contain"));
    assert!(failed(&asked(http(nobody().await, None, None), 5000).await, "refused"));
}

#[tokio::test]
async fn a_programs_exit_code_is_an_answer_as_ocf_has_them() {
    let shell = |script: &str| CheckKind::Command(vec!["/bin/sh".into(), "-c".into(), script.into()]);
    assert_eq!(asked(shell("test $STANDIN_EVENT = check -a $STANDIN_GROUP = g"), 5000).await, Outcome::Ok);
    for code in [190, 191] {
        let worn = asked(shell(&format!("echo one of two; exit {code}")), 5000).await;
        assert_eq!(worn, Outcome::Degraded(format!("it says that it is degraded ({code}): one of two")));
    }
    for code in [1, 5, 7, 9] {
        let bad = asked(shell(&format!("echo bad; exit {code}")), 5000).await;
        assert_eq!(bad, Outcome::Failed(format!("it failed (exit status: {code}); it said: bad")));
    }
    assert!(failed(&asked(shell("kill -9 $$"), 5000).await, "signal: 9"));
    assert!(unknown(&asked(shell("/nonexistent/program"), 5000).await, "exit status: 127"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = file.path().display().to_string();
    assert!(unknown(&asked(shell(&text), 5000).await, "exit status: 126"), "not executable");
    let none = asked(CheckKind::Command(vec!["/nonexistent".into()]), 5000).await;
    assert!(unknown(&none, "could not be started"), "{none:?}");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let sign = folder.path().join("sign");
    let script = format!("(sleep 0.6; touch {}) & sleep 5", sign.display());
    let late = asked(CheckKind::Command(vec!["/bin/sh".into(), "-c".into(), script]), 200).await;
    assert!(failed(&late, "did not end within 200ms and was killed"), "{late:?}");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!sign.exists(), "its child lived on");
}

/// What a user agent sends back: the request's own headers (RFC 3261, 8.2.6.2).
fn response(status: &str, request: &str) -> Vec<u8> {
    let kept = ["Via", "From", "To", "Call-ID", "CSeq"];
    let headers = request.lines().filter(|line| kept.iter().any(|it| line.starts_with(it)));
    let headers: Vec<&str> = headers.collect();
    format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n")).into_bytes()
}

#[tokio::test]
async fn any_response_of_sip_is_life_over_tcp_too() {
    let sip = |address| CheckKind::SipOptions(Sip { transport: Transport::Tcp, address });
    for status in ["200 OK", "404 Not Found", "503 Service Unavailable"] {
        let at = server(move |request| {
            assert!(request.contains("Via: SIP/2.0/TCP 127.0.0.1:"), "{request}");
            response(status, &request)
        })
        .await;
        assert_eq!(asked(sip(at), 5000).await, Outcome::Ok, "{status}");
    }
    let closes = server(|_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    assert!(failed(&asked(sip(closes), 5000).await, "closed without a response"));
    let endless = server(|_| vec![b'x'; 100_000]).await;
    assert!(failed(&asked(sip(endless), 5000).await, "is no response"));
    let silent = server(|_| Vec::new()).await;
    assert_eq!(asked(sip(silent), 100).await, Outcome::Failed("no answer within 100ms".into()));
    assert!(failed(&asked(sip(nobody().await), 5000).await, "refused"));
}

#[tokio::test]
async fn silence_and_a_refusal_are_failures_of_sip_and_a_way_that_is_not_there_is_unknown() {
    let sip = |address| CheckKind::SipOptions(Sip { transport: Transport::Udp, address });
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    assert_eq!(asked(sip(at), 200).await, Outcome::Failed("no answer within 200ms".into()));
    let count = Arc::new(AtomicU32::new(0));
    let answered = Arc::clone(&count);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            answered.fetch_add(1, Ordering::Relaxed);
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            socket.send_to(&response("200 OK", &request), from).await.unwrap();
        }
    });
    assert_eq!(asked(sip(at), 5000).await, Outcome::Ok);
    assert!(count.load(Ordering::Relaxed) >= 1);
    // ICMP says that nobody has the port.
    assert!(failed(&asked(sip(nobody().await), 5000).await, "refused"));
    let no_route = sip::judge(Err(Errno::NETUNREACH.into()));
    assert!(unknown(&no_route, "unreachable"), "{no_route:?}");
    let forbidden = sip::judge(Err(Errno::PERM.into()));
    assert!(unknown(&forbidden, "not permitted"), "{forbidden:?}");
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "what was not tested is said")]
async fn a_ping_is_answered_by_loopback_over_ipv4_and_ipv6() {
    for target in ["127.0.0.1", "::1"] {
        let to: IpAddr = target.parse().unwrap();
        let outcome = asked(CheckKind::Ping(vec![to], Need::Any), 5000).await;
        if matches!(outcome, Outcome::Unknown(_)) {
            println!("SKIPPED: {target} was NOT pinged: {}", outcome.text());
            continue;
        }
        assert_eq!(outcome, Outcome::Ok, "{target}");
    }
}

#[test]
fn a_ping_without_permission_says_what_to_do() {
    let refused = ping::cannot(&io::Error::from(Errno::ACCESS));
    assert!(unknown(&refused, "net.ipv4.ping_group_range"), "{refused:?}");
}

#[tokio::test]
async fn a_disk_takes_a_file_and_gives_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = check(CheckKind::Disk(folder.path().to_owned()), 10_000);
    for _ in 0..2 {
        assert_eq!(disk.ask().await, Outcome::Ok);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    let gone = asked(CheckKind::Disk(folder.path().join("gone")), 10_000).await;
    assert!(failed(&gone, "No such file"), "{gone:?}");
    let full = asked(CheckKind::Disk(PathBuf::from("/proc")), 10_000).await;
    assert!(!matches!(full, Outcome::Ok), "{full:?}");
    for (error, is_known) in
        [(Errno::NOSPC, true), (Errno::ROFS, true), (Errno::IO, true), (Errno::ACCESS, false)]
    {
        let outcome = of_error(&io::Error::from(error));
        assert_eq!(matches!(outcome, Outcome::Failed(_)), is_known, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_disk_that_hangs_has_failed_and_gets_no_second_thread() {
    let folder = tempfile::tempdir().unwrap();
    let threads = || {
        let all = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let name =
            |it: std::fs::DirEntry| std::fs::read_to_string(it.path().join("comm")).unwrap_or_default();
        all.map(name).filter(|it| it.trim() == "hung-disk").count()
    };
    let (release, held) = std::sync::mpsc::channel::<()>();
    let mut disk = disk::Disk::default();
    // A thread that is held up elsewhere, as the kernel holds one up whose disk is dead.
    disk.hold_up("hung-disk", held);
    for _ in 0..3 {
        let tried = within(Duration::from_millis(100), disk.try_out(folder.path(), "it")).await;
        assert_eq!(tried, Outcome::Failed("no answer within 100ms".into()));
        assert_eq!(threads(), 1);
    }
    release.send(()).unwrap();
    let tried = within(Duration::from_secs(10), disk.try_out(folder.path(), "it")).await;
    assert_eq!(tried, Outcome::Ok, "tried again once it is free");
    assert_eq!(threads(), 0);
}

#[tokio::test]
async fn an_interface_is_there_and_up_or_not() {
    assert_eq!(asked(CheckKind::Interface("lo".into()), 5000).await, Outcome::Ok);
    let none = asked(CheckKind::Interface("none0".into()), 5000).await;
    assert_eq!(none, Outcome::Failed("there is no interface none0".into()));
}
