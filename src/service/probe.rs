//! The probe of `when-silent = "probe"`: the service is asked at the address that moves, as a caller would ask
//! it. Whether an answer, or none, counts is the core's to decide.

use super::check::{Outcome, program, sip, tcp, within};
use super::hooks::About;
use crate::config::{Ask, Probe, Sip, Transport};

/// Asks once; it is over within the probe's timeout. `about` is for a program's environment.
///
/// # Errors
/// Nobody answered: why.
pub async fn ask(probe: &Probe, about: &About) -> Result<(), String> {
    let timeout = probe.timeout;
    let outcome = match &probe.ask {
        Ask::SipOptions(address) => {
            let sip = Sip { transport: Transport::Udp, address: *address };
            within(timeout, sip::ask(sip, timeout)).await
        }
        Ask::Tcp(to) => within(timeout, tcp::connect(*to)).await,
        Ask::Command(words) => program(words, about, "probe", timeout).await,
    };
    match outcome {
        Outcome::Ok => Ok(()),
        Outcome::Degraded(text) | Outcome::Failed(text) | Outcome::Unknown(text) => Err(text),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use tokio::net::{TcpListener, UdpSocket};

    use super::*;

    fn about() -> About {
        About { cluster: "c".into(), group: "g".into(), node: "n".into() }
    }

    async fn asked(ask: Ask, timeout: u64) -> Result<(), String> {
        let probe = Probe { ask, timeout: Duration::from_millis(timeout) };
        super::ask(&probe, &about()).await
    }

    /// A service that says to each request what the test makes of it; it counts what it was asked.
    async fn service(
        says: impl Fn(u32, &str) -> Vec<String> + Send + 'static,
    ) -> (SocketAddr, Arc<AtomicU32>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (at, count) = (socket.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let asked = Arc::clone(&count);
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let n = asked.fetch_add(1, Ordering::Relaxed);
                for answer in says(n, &request) {
                    socket.send_to(answer.as_bytes(), from).await.unwrap();
                }
            }
        });
        (at, count)
    }

    /// What a user agent sends back: the request's own headers (RFC 3261, 8.2.6.2).
    fn response(status: &str, request: &str) -> String {
        let kept = ["Via", "From", "To", "Call-ID", "CSeq"];
        let headers = request.lines().filter(|line| kept.iter().any(|it| line.starts_with(it)));
        let headers: Vec<&str> = headers.collect();
        format!("SIP/2.0 {status}\r\n{}\r\nContent-Length: 0\r\n\r\n", headers.join("\r\n"))
    }

    #[tokio::test]
    async fn a_sip_service_that_responds_has_answered_whatever_it_says() {
        for status in ["200 OK", "404 Not Found", "503 Service Unavailable"] {
            let (at, _) = service(move |_, request| vec![response(status, request)]).await;
            asked(Ask::SipOptions(at), 5000).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_lost_datagram_is_sent_again_once_and_is_the_same() {
        let first = Arc::new(std::sync::Mutex::new(String::new()));
        let (at, count) = service(move |n, request| {
            if n == 0 {
                request.clone_into(&mut first.lock().unwrap());
                return Vec::new();
            }
            assert_eq!(*first.lock().unwrap(), request);
            vec![response("200 OK", request)]
        })
        .await;
        asked(Ask::SipOptions(at), 5000).await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 2);
        let (at, count) = service(|_, _| Vec::new()).await;
        let none = asked(Ask::SipOptions(at), 300).await.unwrap_err();
        assert_eq!(none, "no answer within 300ms");
        while count.load(Ordering::Relaxed) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(count.load(Ordering::Relaxed), 2, "once more, and no more");
    }

    #[tokio::test]
    async fn what_is_no_response_to_this_request_is_passed_over() {
        let (at, _) = service(|_, request| {
            let other = response("200 OK", &request.replace("Call-ID: ", "Call-ID: x"));
            vec!["garbage".into(), String::new(), request.to_owned(), other]
        })
        .await;
        assert_eq!(asked(Ask::SipOptions(at), 300).await.unwrap_err(), "no answer within 300ms");
        let (at, _) = service(|_, request| vec!["garbage".into(), response("200 OK", request)]).await;
        asked(Ask::SipOptions(at), 5000).await.unwrap();
    }

    #[tokio::test]
    async fn each_request_is_one_of_its_own() {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let all = Arc::clone(&seen);
        let (at, _) = service(move |_, request| {
            let line = request.lines().find(|it| it.starts_with("Call-ID")).unwrap_or_default();
            all.lock().unwrap().push(line.to_owned());
            vec![response("200 OK", request)]
        })
        .await;
        for _ in 0..2 {
            asked(Ask::SipOptions(at), 5000).await.unwrap();
        }
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 2 && seen[0] != seen[1], "{seen:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(asked(Ask::SipOptions(gone), 300).await.is_err());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        asked(Ask::Tcp(at), 5000).await.unwrap();
        drop(listener);
        assert!(asked(Ask::Tcp(at), 5000).await.unwrap_err().contains("refused"));
    }

    #[tokio::test]
    async fn a_program_answers_with_0_and_is_killed_with_its_children_at_the_timeout() {
        let shell = |script: &str| Ask::Command(vec!["/bin/sh".into(), "-c".into(), script.into()]);
        asked(shell("test $STANDIN_EVENT = probe -a $STANDIN_GROUP = g"), 5000).await.unwrap();
        let failed = asked(shell("echo busy; exit 7"), 5000).await.unwrap_err();
        assert_eq!(failed, "it failed (exit status: 7); it said: busy");
        let folder = tempfile::tempdir().unwrap();
        let sign = folder.path().join("sign");
        let late = asked(shell(&format!("(sleep 0.6; touch {}) & sleep 5", sign.display())), 200).await;
        assert!(late.unwrap_err().contains("was killed"));
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!sign.exists(), "its child lived on");
        assert!(asked(Ask::Command(vec!["/nonexistent".into()]), 5000).await.is_err());
    }
}
