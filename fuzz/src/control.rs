//! The operator's socket, from both ends.

use std::cell::RefCell;
use std::sync::LazyLock;

use standin::control::client::read_response;
use standin::control::protocol::{Ask, Request, Response, VERSION};
use standin::control::server::serve_client;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime can be had"));

/// Any bytes from a client. Each line is answered once, until one is too long; a request is what is a line of
/// its own, and nothing else.
///
/// After a first byte of 1 or 2 the line begins with 63 or 64 KiB of spaces, so that short inputs reach the bound
/// on lines.
pub fn from_a_client(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let spaces = match first {
        1 => 63 << 10,
        2 => 64 << 10,
        _ => 0,
    };
    let mut said = vec![b' '; spaces];
    said.extend_from_slice(rest);
    let heard = RefCell::new(Vec::new());
    let mut answers = Vec::new();
    let answer = |request| {
        heard.borrow_mut().push(request);
        std::future::ready(Response::Accepted)
    };
    RUNTIME.block_on(serve_client(&said[..], &mut answers, answer)).expect("this client reads and writes");
    let asked = said.split(|byte| *byte == b'\n').filter_map(|line| {
        let ask: Ask = serde_json::from_slice(line).ok()?;
        (ask.version == VERSION).then_some(ask.request)
    });
    let (asked, heard): (Vec<Request>, _) = (asked.collect(), heard.into_inner());
    assert!(asked.starts_with(&heard), "{heard:?} was heard, and asked was {asked:?}");
    let lines = said.split_inclusive(|byte| *byte == b'\n').count();
    let answers: Vec<&[u8]> = answers.split_inclusive(|byte| *byte == b'\n').collect();
    assert!(answers.len() <= lines && (lines == 0 || !answers.is_empty()), "{lines} lines, {answers:?}");
    let accepted = answers.iter().filter(|it| matches!(read(it), Response::Accepted)).count();
    assert_eq!(accepted, heard.len());
    for request in heard {
        let line =
            serde_json::to_vec(&Ask { version: VERSION, request: request.clone() }).expect("it is data");
        assert_eq!(serde_json::from_slice::<Ask>(&line).map(|ask| ask.request).ok(), Some(request));
    }
}

/// Any bytes from an agent: refused or read, and what was read can be written and read again.
pub fn from_an_agent(bytes: &[u8]) {
    let Ok(Ok(response)) = read_response(bytes) else { return };
    let line = serde_json::to_vec(&response).expect("it is data");
    assert_eq!(without_fractions(read(&line)), without_fractions(response));
}

fn read(line: &[u8]) -> Response {
    read_response(line).expect("there is a line").expect("it is an answer")
}

/// serde_json reads a fraction to within its last bit only.
fn without_fractions(mut response: Response) -> Response {
    if let Response::Status(status) = &mut response {
        status.nodes.iter_mut().flat_map(|node| &mut node.links).for_each(|link| link.loss_percent = 0.0);
    }
    response
}
