//! A TCP line to a server that can be made bad. It knows as much of HTTP as it takes to tell requests apart.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Weather {
    /// It is carried out and answered.
    Fair,
    /// It is swallowed: no answer, and nothing was done.
    Hang,
    /// It is carried out, and then the connection is closed.
    DropAnswers,
    /// It is carried out, and half of the answer comes.
    Half,
    /// It is carried out, and answered so much later.
    Late(Duration),
    /// It is answered with this status and body, and nothing was done.
    Answer(u16, String),
}

pub(crate) struct Line {
    pub(crate) url: String,
    weather: Arc<Mutex<Weather>>,
    requests: Arc<AtomicUsize>,
}

impl Line {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let (weather, requests) = (Arc::new(Mutex::new(Weather::Fair)), Arc::new(AtomicUsize::new(0)));
        let (under, count) = (Arc::clone(&weather), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), Arc::clone(&under), Arc::clone(&count)));
            }
        });
        Self { url, weather, requests }
    }

    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// How many have come so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

async fn carry(
    mut client: TcpStream,
    server: String,
    weather: Arc<Mutex<Weather>>,
    requests: Arc<AtomicUsize>,
) {
    let Ok(mut upstream) = TcpStream::connect(server).await else { return };
    while let Some(request) = message(&mut client).await {
        requests.fetch_add(1, Ordering::Relaxed);
        let now = weather.lock().unwrap().clone();
        if let Weather::Answer(status, body) = &now {
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.0\r\nx-amzn-requestid: REQ1\r\n\
                 content-length: {length}\r\n\r\n{body}"
            );
            if client.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
            continue;
        }
        if matches!(now, Weather::Hang) {
            return std::future::pending().await;
        }
        if upstream.write_all(&request).await.is_err() {
            return;
        }
        let Some(answer) = message(&mut upstream).await else { return };
        let answer = match now {
            Weather::Fair => answer,
            Weather::Late(by) => {
                tokio::time::sleep(by).await;
                answer
            }
            Weather::Half => answer[..answer.len() / 2].to_vec(),
            Weather::Hang | Weather::DropAnswers | Weather::Answer(..) => return,
        };
        let half = matches!(now, Weather::Half);
        if client.write_all(&answer).await.is_err() || half {
            return;
        }
    }
}

/// One message with a content-length, whole.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].split("content-length: ").nth(1)?.split("\r\n").next()?.trim();
            if bytes.len() >= end + 4 + length.parse::<usize>().ok()? {
                return Some(bytes);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => bytes.extend_from_slice(&buffer[..n]),
        }
    }
}
