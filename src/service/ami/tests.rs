//! The client against an AMI of the test's own: what it says is what Asterisk 16 says.

use std::os::unix::fs::PermissionsExt as _;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Asterisk, Registrations};
use crate::service::check::Outcome;

const PATIENCE: Duration = Duration::from_secs(10);
const BOOTED: &str =
    "Event: FullyBooted\r\nPrivilege: system,all\r\nUptime: 9\r\nStatus: Fully Booted\r\n\r\n";

/// How the Asterisk of a test behaves.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Booting,
    Denies,
    /// It takes connections and says nothing.
    Frozen,
    /// It ends the connection at the first Ping.
    Ends,
    Web,
}

async fn asterisk(mood: Mood) -> (tempfile::TempDir, Asterisk, JoinHandle<()>) {
    let folder = tempfile::tempdir().unwrap();
    let secret_file = folder.path().join("secret");
    std::fs::write(&secret_file, "hush\n").unwrap();
    std::fs::set_permissions(&secret_file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Asterisk {
        ami: listener.local_addr().unwrap(),
        user: "standin".into(),
        secret_file,
        registrations: Registrations::Auto,
        config: "/etc/asterisk".into(),
    };
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, mood));
        }
    });
    (folder, settings, serving)
}

async fn serve(stream: TcpStream, mood: Mood) {
    let (read, mut write) = stream.into_split();
    match mood {
        Mood::Frozen => std::future::pending().await,
        Mood::Web => write.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap(),
        Mood::Well | Mood::Booting | Mood::Denies | Mood::Ends => {
            write.write_all(b"Asterisk Call Manager/5.0.2\r\n").await.unwrap();
        }
    }
    let mut lines = BufReader::new(read).lines();
    let (mut action, mut id, mut fields) = (String::new(), String::new(), String::new());
    while let Ok(Some(line)) = lines.next_line().await {
        match line.split_once(": ") {
            Some(("Action", it)) => action = it.to_owned(),
            Some(("ActionID", it)) => id = it.to_owned(),
            Some(_) => fields.push_str(&line),
            None => {
                let Some(said) = answer(&action, &id, &fields, mood) else { return };
                write.write_all(said.as_bytes()).await.unwrap();
                fields.clear();
            }
        }
    }
}

fn answer(action: &str, id: &str, fields: &str, mood: Mood) -> Option<String> {
    let response = |word, rest| format!("Response: {word}\r\nActionID: {id}\r\n{rest}\r\n");
    Some(match action {
        "Login" if mood == Mood::Denies || !fields.contains("Secret: hush") => {
            response("Error", "Message: Authentication failed\r\n")
        }
        "Login" => {
            let booted = if mood == Mood::Booting { "" } else { BOOTED };
            response("Success", "Message: Authentication accepted\r\n") + booted
        }
        "Ping" if mood == Mood::Ends => return None,
        "Ping" => response("Success", "Ping: Pong\r\nTimestamp: 1.2\r\n"),
        "CoreStatus" => {
            // An event comes between, and an answer to something else.
            "Event: Registry\r\nStatus: Registered\r\n\r\nResponse: Success\r\nActionID: other\r\n\r\n"
                .to_owned()
                + &response(
                    "Success",
                    "CoreStartupDate: 2026-11-24\r\nCoreStartupTime: 10:00:00\r\nCoreCurrentCalls: 3\r\n",
                )
        }
        "Command" => {
            response("Success", "Message: Command output follows\r\nOutput: one\r\nOutput: a: two\r\n")
        }
        "PJSIPShowRegistrationsOutbound" => {
            let of = |name, state| {
                format!(
                    "Event: OutboundRegistrationDetail\r\nActionID: {id}\r\nObjectName: {name}\r\n\
                     Status: {state}\r\nNextReg: 0\r\n\r\n"
                )
            };
            response("Success", "EventList: start\r\n")
                + &of("carrier", "Registered")
                + BOOTED
                + &of("backup", "Rejected")
                + &format!("Event: Complete\r\nActionID: {id}\r\nEventList: Complete\r\nListItems: 2\r\n\r\n")
        }
        "PJSIPRegister" => response("Error", "Message: Failed to register\r\n"),
        _ => response("Error", "Message: Invalid/unknown command\r\n"),
    })
}

#[tokio::test]
async fn an_answer_is_that_of_its_action_whatever_comes_between() {
    let (_folder, settings, _serving) = asterisk(Mood::Well).await;
    let mut client = Client::login(&settings, PATIENCE).await.unwrap();
    client.ping().await.unwrap();
    assert_eq!(client.booted(), Some(Booted { uptime: Some(Duration::from_secs(9)) }));
    let status = client.core_status().await.unwrap();
    assert_eq!(status, CoreStatus { channels: 3, started: "2026-11-24 10:00:00".into() });
    assert_eq!(client.command("core show uptime").await.unwrap(), ["one", "a: two"]);
    let registrations = client.registrations().await.unwrap();
    let states: Vec<_> = registrations.iter().map(|it| (it.name.as_str(), it.is_registered())).collect();
    assert_eq!(states, [("carrier", true), ("backup", false)]);
    let error = client.register("carrier").await.unwrap_err().to_string();
    assert_eq!(error, "Asterisk refuses PJSIPRegister: Failed to register");
    for event in ["FullyBooted", "Registry", "FullyBooted"] {
        assert!(client.event().await.unwrap().is("Event", event), "{event}");
    }
}

#[tokio::test]
async fn a_check_tells_what_is_no_answer_from_what_is_a_bad_one() {
    for (mood, expected) in [
        (Mood::Well, Outcome::Ok),
        (
            Mood::Booting,
            Outcome::Unknown(
                "asterisk is still booting, or its AMI user lacks `read = system` in manager.conf".into(),
            ),
        ),
    ] {
        let (_folder, settings, _serving) = asterisk(mood).await;
        let mut watch = Watch::default();
        for _ in 0..2 {
            assert_eq!(watch.check(&settings, PATIENCE).await, expected);
        }
    }
    let found = async |mood, within| {
        let (_folder, settings, _serving) = asterisk(mood).await;
        match Watch::default().check(&settings, within).await {
            Outcome::Ok => "ok".to_owned(),
            Outcome::Degraded(text) => format!("degraded {text}"),
            Outcome::Failed(text) => format!("failed {text}"),
            Outcome::Unknown(text) => format!("unknown {text}"),
        }
    };
    let said = found(Mood::Denies, PATIENCE).await;
    assert!(
        said.starts_with("unknown AMI at 127.0.0.1:") && said.contains("Authentication failed"),
        "{said}"
    );
    assert!(!said.contains("hush"), "{said}");
    let said = found(Mood::Ends, PATIENCE).await;
    assert!(said.starts_with("failed Asterisk has closed the connection"), "{said}");
    let said = found(Mood::Web, PATIENCE).await;
    assert!(said.starts_with("unknown who listens at 127.0.0.1:") && said.contains("HTTP/1.1"), "{said}");
    let said = found(Mood::Frozen, Duration::from_millis(50)).await;
    assert!(said.starts_with("failed Asterisk does not answer"), "{said}");
}

#[tokio::test]
async fn nobody_there_is_a_failure_and_no_secret_is_none() {
    let (_folder, mut settings, serving) = asterisk(Mood::Well).await;
    let mut watch = Watch::default();
    assert!(matches!(watch.check(&settings, PATIENCE).await, Outcome::Ok));
    serving.abort();
    let _ended = serving.await;
    let refused = Watch::default().check(&settings, PATIENCE).await;
    assert!(matches!(&refused, Outcome::Failed(text) if text.contains("nobody listens at")), "{refused:?}");
    settings.secret_file = settings.secret_file.with_extension("none");
    let none = Watch::default().check(&settings, PATIENCE).await;
    assert!(matches!(&none, Outcome::Unknown(text) if text.contains("must be readable")), "{none:?}");
}
