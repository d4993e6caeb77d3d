//! Against a server of a few lines that answers what the test says, so that each way of failing is real.
//! What EC2 itself would answer is `tests/ec2.rs`'s matter.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;
use crate::cloud::aws::WarmCredentials;
use crate::cloud::{Destination, ErrorKind, InstanceState, Obstacle};

const CALL: Duration = Duration::from_millis(600);

/// What the server does with one request.
#[derive(Clone, Debug)]
enum Reply {
    Answer(u16, String),
    /// It reads the request, and says nothing.
    Hang,
    /// It reads the request, and closes the connection.
    Drop,
    /// It sends the half of an answer.
    Half,
}

struct Server {
    address: std::net::SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// The last reply is repeated for ever.
async fn serve(replies: Vec<Reply>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let server = Server { address, connections: Arc::clone(&connections), requests: Arc::clone(&requests) };
    let replies = Arc::new(Mutex::new(replies));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(converse(stream, Arc::clone(&replies), Arc::clone(&requests)));
        }
    });
    server
}

async fn converse(mut stream: TcpStream, replies: Arc<Mutex<Vec<Reply>>>, requests: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = request(&mut stream).await {
        requests.lock().unwrap().push(request);
        let reply = {
            let mut replies = replies.lock().unwrap();
            if replies.len() > 1 { replies.remove(0) } else { replies[0].clone() }
        };
        let head = |status: u16, length: usize| {
            format!("HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\r\n")
        };
        let bytes = match reply {
            Reply::Answer(status, body) => head(status, body.len()) + &body,
            Reply::Half => head(200, 1000) + "<AssociateAddressResponse>",
            Reply::Hang => std::future::pending().await,
            Reply::Drop => return,
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || bytes.ends_with("<AssociateAddressResponse>")
        {
            return;
        }
    }
}

/// The body of one request with a content-length.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length =
                text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes[end + 4..]).into_owned());
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}

fn ec2(endpoint: std::net::SocketAddr) -> Ec2 {
    let credentials = keys();
    let config = aws_sdk_ec2::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(line::http_client())
        .region(Region::new("eu-west-1"))
        .endpoint_url(format!("http://{endpoint}"))
        .credentials_provider(credentials.clone())
        .identity_cache(IdentityCache::no_cache())
        .retry_config(RetryConfig::disabled())
        .timeout_config(line::timeouts(CALL));
    over(config, credentials)
}

fn keys() -> WarmCredentials {
    let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    WarmCredentials::new(SharedCredentialsProvider::new(keys), Default::default())
}

fn over(config: aws_sdk_ec2::config::Builder, credentials: WarmCredentials) -> Ec2 {
    let place = ("the test's server".to_owned(), "aws.endpoint-url");
    let line = Line::new(Client::from_conf(config.build()), credentials, place, CALL);
    Ec2 { line, region: "eu-west-1".to_owned() }
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>\
         <RequestID>req-1</RequestID></Response>"
    );
    Reply::Answer(status, body)
}

fn associated() -> Reply {
    let body = "<AssociateAddressResponse><requestId>req-2</requestId><return>true</return>\
                <associationId>eipassoc-1</associationId></AssociateAddressResponse>";
    Reply::Answer(200, body.to_owned())
}

async fn associate(ec2: &Ec2) -> Result<String, CloudError> {
    ec2.associate_address("eipalloc-1", "eni-1", Ipv4Addr::new(10, 0, 1, 20), false).await
}

#[tokio::test]
async fn an_error_keeps_aws_code_message_and_request_id() {
    let server = serve(vec![error(403, "UnauthorizedOperation", "You are not authorized.")]).await;
    let error = associate(&ec2(server.address)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(error.code.as_deref(), Some("UnauthorizedOperation"));
    assert_eq!(error.request_id.as_deref(), Some("req-1"));
    assert_eq!(
        error.to_string(),
        "AssociateAddress was denied: You are not authorized. [UnauthorizedOperation] (request req-1) \
         (allow ec2:AssociateAddress in this node's IAM role)"
    );
}

#[tokio::test]
async fn every_change_is_sent_once_whatever_comes_back() {
    let replies = [
        (error(503, "RequestLimitExceeded", "slow down"), ErrorKind::Throttled),
        (error(500, "InternalError", "sorry"), ErrorKind::NoAnswer),
        (Reply::Answer(502, "<html>bad gateway</html>".to_owned()), ErrorKind::NoAnswer),
        (Reply::Answer(200, "not xml".to_owned()), ErrorKind::NoAnswer),
        (Reply::Half, ErrorKind::NoAnswer),
        (Reply::Drop, ErrorKind::NoAnswer),
        (Reply::Hang, ErrorKind::NoAnswer),
    ];
    for (reply, expected) in replies {
        let server = serve(vec![reply.clone()]).await;
        let begun = Instant::now();
        let error = associate(&ec2(server.address)).await.unwrap_err();
        assert_eq!(error.kind, expected, "{reply:?}: {error}");
        assert_eq!(server.requests.lock().unwrap().len(), 1, "{reply:?}");
        assert!(begun.elapsed() < CALL + Duration::from_millis(300), "{reply:?}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_refused_connection_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = associate(&ec2(address)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_tls_handshake_that_fails_is_unreachable() {
    let server = serve(vec![associated()]).await;
    let config = ec2(server.address).line.client().config().to_builder();
    let ec2 = over(config.endpoint_url(format!("https://{}", server.address)), keys());
    let error = associate(&ec2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
}

#[tokio::test]
async fn warming_up_opens_connections_and_renews_credentials() {
    #[derive(Debug)]
    struct Source(AtomicUsize);
    impl aws_credential_types::provider::ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            // The first ones expire in ten minutes, the next ones in six hours.
            let first = self.0.fetch_add(1, Ordering::Relaxed) == 0;
            let validity = Duration::from_secs(if first { 600 } else { 6 * 3600 });
            let expiry = std::time::UNIX_EPOCH + Duration::from_secs(1000) + validity;
            let keys = Credentials::new("AKIDEXAMPLE", "secret", None, Some(expiry), "test");
            aws_credential_types::provider::future::ProvideCredentials::ready(Ok(keys))
        }
    }
    let empty =
        "<DescribeNetworkInterfacesResponse><networkInterfaceSet/></DescribeNetworkInterfacesResponse>";
    let server = serve(vec![Reply::Answer(200, empty.to_owned())]).await;
    let spawned = Arc::new(ec2(server.address));
    tokio::spawn(async move { spawned.keep_warm(0, Duration::from_secs(1)).await }).abort();
    let config = ec2(server.address).line.client().config().to_builder();
    let clock = aws_smithy_async::time::StaticTimeSource::from_secs(1000);
    let source = SharedCredentialsProvider::new(Source(AtomicUsize::new(0)));
    let credentials = WarmCredentials::new(source, aws_smithy_async::time::SharedTimeSource::new(clock));
    let ec2 = over(config.credentials_provider(credentials.clone()), credentials);
    for expected in [600, 6 * 3600, 6 * 3600] {
        ec2.warm_up(4).await;
        assert_eq!(ec2.line.credentials.remaining(), Some(Duration::from_secs(expected)));
    }
    let open = server.connections.load(Ordering::Relaxed);
    assert!((2..=4).contains(&open), "{open} connections");
    assert_eq!(server.requests.lock().unwrap().len(), 12);
}

#[tokio::test]
async fn a_connect_that_hangs_is_unreachable() {
    // A listener whose queue is full does not answer the handshake.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let mut fill = Vec::new();
    for _ in 0..4 {
        fill.push(tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await);
    }
    assert!(fill.iter().any(Result::is_err), "the queue could not be filled");
    let begun = Instant::now();
    let error = associate(&ec2(address)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    assert!(begun.elapsed() < CALL, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_throttled_describe_is_repeated_within_its_bound() {
    let slow = error(503, "RequestLimitExceeded", "slow down");
    let empty = "<DescribeAddressesResponse><addressesSet/></DescribeAddressesResponse>".to_owned();
    let server = serve(vec![slow.clone(), slow.clone(), Reply::Answer(200, empty)]).await;
    assert_eq!(ec2(server.address).address("eipalloc-1").await, Ok(None));
    assert_eq!(server.requests.lock().unwrap().len(), 3);

    let server = serve(vec![slow]).await;
    let begun = Instant::now();
    let error = ec2(server.address).address("eipalloc-1").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled);
    assert!(begun.elapsed() < CALL + Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn without_credentials_the_message_says_what_to_do() {
    #[derive(Debug)]
    struct None;
    impl aws_credential_types::provider::ProvideCredentials for None {
        fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let error = aws_credential_types::provider::error::CredentialsError::not_loaded("nothing there");
            aws_credential_types::provider::future::ProvideCredentials::ready(Err(error))
        }
    }
    let server = serve(vec![associated()]).await;
    let config = ec2(server.address).line.client().config().to_builder();
    let none = WarmCredentials::new(SharedCredentialsProvider::new(None), Default::default());
    let ec2 = over(config.credentials_provider(none.clone()), none);
    let error = associate(&ec2).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    assert!(error.to_string().contains("nothing there"), "{error}");
    assert!(error.to_string().contains("IAM role"), "{error}");
    assert!(server.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn connections_are_kept_and_replaced() {
    let server = serve(vec![associated()]).await;
    let ec2 = ec2(server.address);
    let open = || server.connections.load(Ordering::Relaxed);
    for _ in 0..3 {
        associate(&ec2).await.unwrap();
    }
    assert_eq!(open(), 1, "one call after the other needs one connection");
    join_all((0..3).map(|_| associate(&ec2))).await;
    let warm = open();
    join_all((0..3).map(|_| associate(&ec2))).await;
    assert_eq!(open(), warm, "the second three use those of the first");
    let begun = Instant::now();
    ec2.reconnect();
    println!("reconnect took {:?}", begun.elapsed());
    associate(&ec2).await.unwrap();
    assert_eq!(open(), warm + 1);
}

#[tokio::test]
async fn a_dead_connection_is_not_used_again() {
    let server = serve(vec![associated(), Reply::Hang, associated()]).await;
    let ec2 = ec2(server.address);
    associate(&ec2).await.unwrap();
    assert_eq!(associate(&ec2).await.unwrap_err().kind, ErrorKind::NoAnswer);
    associate(&ec2).await.unwrap();
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_request_says_what_it_should() {
    let ok = |action: &str| {
        Reply::Answer(200, format!("<{action}Response><return>true</return></{action}Response>"))
    };
    let server = serve(vec![ok("X")]).await;
    let ec2 = ec2(server.address);
    let v6 = Destination::Cidr("2001:db8::/56".parse().unwrap());
    // The answer does not fit every action; the requests are what is looked at.
    let _ = associate(&ec2).await;
    let _ = ec2.assign_private_ip("eni-1", Ipv4Addr::new(10, 0, 1, 100), true).await;
    let _ = ec2.replace_route("rtb-1", &v6, "eni-1").await;
    let _ = ec2.create_route("rtb-1", &Destination::PrefixList("pl-1".to_owned()), "eni-1").await;
    let _ = ec2.write_tag("eipalloc-1", "standin:c/g", "a 0 1").await;
    let _ = ec2.stop_instance("i-1").await;
    let _ = ec2.start_instance("i-1").await;
    let _ = ec2.reboot_instance("i-1").await;
    let requests = server.requests.lock().unwrap().clone();
    let expected: [&[&str]; 8] = [
        &[
            "Action=AssociateAddress",
            "NetworkInterfaceId=eni-1",
            "PrivateIpAddress=10.0.1.20",
            "AllowReassociation=false",
        ],
        &["Action=AssignPrivateIpAddresses", "PrivateIpAddress.1=10.0.1.100", "AllowReassignment=true"],
        &[
            "Action=ReplaceRoute",
            "DestinationIpv6CidrBlock=2001%3Adb8%3A%3A%2F56",
            "NetworkInterfaceId=eni-1",
        ],
        &["Action=CreateRoute", "DestinationPrefixListId=pl-1", "RouteTableId=rtb-1"],
        &[
            "Action=CreateTags",
            "ResourceId.1=eipalloc-1",
            "Tag.1.Key=standin%3Ac%2Fg",
            "Tag.1.Value=a%200%201",
        ],
        &["Action=StopInstances", "InstanceId.1=i-1", "Force=true", "SkipOsShutdown=true"],
        &["Action=StartInstances", "InstanceId.1=i-1"],
        &["Action=RebootInstances", "InstanceId.1=i-1"],
    ];
    for (request, words) in requests.iter().zip(expected) {
        for word in words {
            assert!(request.split('&').any(|it| it == *word), "{request} lacks {word}");
        }
    }
    assert_eq!(requests.len(), 8);
}

#[tokio::test]
async fn a_stop_that_was_accepted_is_no_error_whatever_the_state() {
    let body = |code: &str| {
        format!(
            "<StopInstancesResponse><instancesSet><item><instanceId>i-1</instanceId><currentState>\
             <name>{code}</name></currentState></item></instancesSet></StopInstancesResponse>"
        )
    };
    let cases = [
        ("stopping", InstanceState::Stopping),
        ("stopped", InstanceState::Stopped),
        ("a-state-of-tomorrow", InstanceState::Stopping),
    ];
    for (word, expected) in cases {
        let server = serve(vec![Reply::Answer(200, body(word))]).await;
        assert_eq!(ec2(server.address).stop_instance("i-1").await, Ok(expected), "{word}");
    }
}

#[tokio::test]
async fn a_stop_that_ec2_will_never_carry_out_is_told_from_one_that_came_too_early() {
    let cases = [
        ("OperationNotPermitted", "may not be stopped. Modify its 'disableApiStop'", ErrorKind::Invalid),
        ("UnsupportedOperation", "You can't stop the Spot Instance 'i-1'", ErrorKind::Invalid),
        ("UnauthorizedOperation", "You are not authorized", ErrorKind::Denied),
        ("InvalidInstanceID.NotFound", "The instance ID 'i-1' does not exist", ErrorKind::NotFound),
        ("IncorrectInstanceState", "This instance 'i-1' is not in a state", ErrorKind::WrongState),
    ];
    for (code, message, expected) in cases {
        let server = serve(vec![error(400, code, message)]).await;
        let failed = ec2(server.address).stop_instance("i-1").await.unwrap_err();
        assert_eq!(failed.kind, expected, "{failed}");
        assert!(failed.to_string().contains(message), "{failed}");
        assert_eq!(server.requests.lock().unwrap().len(), 1);
    }
}

#[test]
fn an_obstacle_says_what_to_do() {
    assert!(Obstacle::StopProtection.to_string().contains("--no-disable-api-stop"));
    assert!(Obstacle::AutoScaling("web".to_owned()).to_string().contains("group web"));
    assert!(Obstacle::StopProtection.prevents() && !Obstacle::Spot.prevents());
}
