//! A GET over HTTP/1.1, without TLS: the status is the answer, and perhaps what the body contains.

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Outcome, of_error};
use crate::config::Http;

/// So much of a body is looked at, in bytes.
const LONGEST: usize = 64 * 1024;

/// Asks, for as long as it is polled.
pub(super) async fn get(wanted: &Http) -> Outcome {
    let stream = match TcpStream::connect(wanted.server).await {
        Ok(stream) => stream,
        Err(error) => return of_error(&error),
    };
    match exchange(stream, wanted).await {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn exchange(stream: TcpStream, wanted: &Http) -> hyper::Result<Outcome> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asked = async {
        let request = Request::get(&wanted.path)
            .header(HOST, wanted.server.to_string())
            .header(USER_AGENT, "standin")
            .header(ACCEPT, "*/*")
            .header(CONNECTION, "close")
            .body(Empty::<Bytes>::new());
        match request {
            Ok(request) => Ok(judge(sender.send_request(request).await?, wanted).await),
            // The configuration has read the path already.
            Err(error) => Ok(Outcome::Unknown(error.to_string())),
        }
    };
    tokio::pin!(asked);
    tokio::select! {
        outcome = &mut asked => outcome,
        // The connection may end as soon as all of the answer is here; then the answer says the rest.
        _ended = connection => asked.await,
    }
}

async fn judge(response: Response<Incoming>, wanted: &Http) -> Outcome {
    let status = response.status();
    let good = wanted
        .status
        .map_or_else(|| status.is_success() || status.is_redirection(), |wanted| status.as_u16() == wanted);
    if !good {
        return Outcome::Failed(format!("it answers {status}"));
    }
    let Some(text) = &wanted.body_contains else { return Outcome::Ok };
    let mut body = Limited::new(response.into_body(), LONGEST);
    let mut read = Vec::new();
    // What is beyond the bound is not looked at, so that a stream without an end is no trouble.
    while let Some(Ok(frame)) = body.frame().await {
        read.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
        if contains(&read, text.as_bytes()) {
            return Outcome::Ok;
        }
    }
    Outcome::Failed(format!("it answers {status}, and its body does not contain \"{}\"", text.escape_debug()))
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|it| it == wanted)
}
