//! Whoever is outside and speaks SIP: who asks every 20 ms whether anybody answers, a call that lasts, a phone that
//! registers, and the carrier that Asterisk registers with. Each is a thread in the callers' namespace.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::network::{CALLER, CARRIER, PUBLIC, enter_internet};
use crate::sip::{Line, Message};

/// How often it is asked whether anybody answers.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// A caller is not answered by what comes later than this.
const TOO_LATE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

/// A thread in the callers' namespace that runs until it is ended.
pub(crate) struct Client<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<T>>>,
}

impl<T: Send + 'static> Client<T> {
    fn start(work: impl FnOnce(&AtomicBool) -> anyhow::Result<T> + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            enter_internet()?;
            work(&seen)
        });
        Self { stop, thread: Some(thread) }
    }

    /// Ends it: what it has seen.
    pub(crate) fn end(mut self) -> anyhow::Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it is ended once")?;
        thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
    }
}

impl<T> Drop for Client<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Call-IDs that no other client of this run has.
fn call_id(what: &str) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", LAST.fetch_add(1, Ordering::Relaxed))
}

fn socket() -> anyhow::Result<(UdpSocket, u16)> {
    let socket = UdpSocket::bind((CALLER, 0))?;
    socket.set_read_timeout(Some(LOOK))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

fn server() -> SocketAddr {
    (PUBLIC, 5060).into()
}

/// A datagram, if one comes within a few milliseconds. A refused port is no answer.
fn receive(socket: &UdpSocket) -> anyhow::Result<Option<Message>> {
    let mut buffer = [0; 8192];
    match socket.recv_from(&mut buffer) {
        Ok((length, _)) => Ok(Some(Message::read(&buffer[..length]))),
        Err(error) if nothing_came(error.kind()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn nothing_came(kind: ErrorKind) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(kind, WouldBlock | TimedOut | ConnectionRefused | HostUnreachable | NetworkUnreachable)
}

/// Sends; that there is no way there at the moment is as good as a lost packet.
fn send(socket: &UdpSocket, text: &str) {
    let _ = socket.send_to(text.as_bytes(), server());
}

/// An answer in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Good {
    pub(crate) at: Instant,
    /// Which node it was.
    pub(crate) node: usize,
}

/// What the one who asks has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) asked: usize,
    pub(crate) good: Vec<Good>,
}

impl Seen {
    /// The longest time between two answers: the last one before it, and the first one after it.
    pub(crate) fn silence(&self) -> Option<(Good, Good)> {
        let pairs = self.good.windows(2).map(|pair| (pair[0], pair[1]));
        pairs.max_by_key(|(before, after)| after.at - before.at)
    }
}

/// Asks with OPTIONS, every 20 ms, at the Elastic IP.
pub(crate) struct Probe {
    client: Client<()>,
    seen: Arc<Mutex<Seen>>,
}

impl Probe {
    pub(crate) fn start() -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        let client = Client::start(move |stop| {
            let (socket, port) = socket()?;
            let line = Line::new("100", PUBLIC, CALLER, port, call_id("probe"));
            let mut sent = Vec::new();
            let mut next = Instant::now();
            while !stop.load(Ordering::Relaxed) {
                if Instant::now() >= next {
                    let number = u32::try_from(sent.len())?;
                    sent.push(Instant::now());
                    send(&socket, &line.request("OPTIONS", number, "", ""));
                    shared.lock().unwrap_or_else(PoisonError::into_inner).asked += 1;
                    next += ASK_EVERY;
                }
                let Some(answer) = receive(&socket)? else { continue };
                let (Some(number), Some(node)) = (answer.number(), answer.node()) else { continue };
                let (at, asked) = (Instant::now(), usize::try_from(number)?);
                if answer.code().is_some() && sent.get(asked).is_some_and(|it| at - *it < TOO_LATE) {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).good.push(Good { at, node });
                }
            }
            Ok(())
        });
        Self { client, seen }
    }

    /// Which node answered last, if one did within this time.
    pub(crate) fn answered_within(&self, time: Duration) -> Option<usize> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.good.last().filter(|it| it.at.elapsed() < time).map(|it| it.node)
    }

    pub(crate) fn end(self) -> anyhow::Result<Seen> {
        self.client.end()?;
        Ok(std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// How a call that lasts has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum CallEnd {
    /// It was never answered.
    NotAnswered,
    /// The other side hung up, or knew nothing of it any more, or fell silent for good.
    Dropped(String),
    /// We hung up, and the other side said yes.
    HungUp,
}

/// A call that lasts until it is ended; twice a second the other side is asked whether it is still there.
pub(crate) fn long_call() -> Client<CallEnd> {
    Client::start(|stop| {
        let (socket, port) = socket()?;
        let mut line = Line::new("100", PUBLIC, CALLER, port, call_id("call"));
        if !answered(&socket, &mut line)? {
            return Ok(CallEnd::NotAnswered);
        }
        let (mut number, mut asked, mut heard) = (1, Instant::now(), Instant::now());
        loop {
            if let Some(message) = receive(&socket)? {
                match (message.method(), message.code()) {
                    (Some("BYE"), _) => {
                        send(&socket, &message.reply("200 OK", ""));
                        return Ok(CallEnd::Dropped("the other side hung up".to_owned()));
                    }
                    (_, Some(481)) => return Ok(CallEnd::Dropped("it does not exist any more".to_owned())),
                    // The answer to our INVITE again: the ACK was lost.
                    (_, Some(200)) if message.answers() == Some("INVITE") => {
                        send(&socket, &line.request("ACK", 1, "", ""));
                    }
                    (_, Some(_)) => heard = Instant::now(),
                    (_, None) => {}
                }
            }
            if asked.elapsed() > Duration::from_millis(500) {
                number += 1;
                // Asterisk does not answer an OPTIONS within a call.
                send(&socket, &line.request("UPDATE", number, "", ""));
                asked = Instant::now();
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if heard.elapsed() > Duration::from_secs(5) {
            return Ok(CallEnd::Dropped(format!("silence for the last {:.1?}", heard.elapsed())));
        }
        hang_up(&socket, &line, number + 1)
    })
}

/// Calls, asking again as RFC 3261 has it; whether it was answered within 10 s.
fn answered(socket: &UdpSocket, line: &mut Line) -> anyhow::Result<bool> {
    let begin = Instant::now();
    let (mut wait, mut next) = (Duration::from_millis(500), begin);
    while begin.elapsed() < Duration::from_secs(10) {
        if Instant::now() >= next {
            send(socket, &line.invite(1));
            (wait, next) = (wait * 2, Instant::now() + wait);
        }
        let Some(message) = receive(socket)? else { continue };
        match message.code() {
            Some(200) => {
                line.their_tag = message.their_tag().map(str::to_owned);
                send(socket, &line.request("ACK", 1, "", ""));
                return Ok(true);
            }
            Some(code) if code >= 300 => return Ok(false),
            Some(_) | None => {}
        }
    }
    Ok(false)
}

fn hang_up(socket: &UdpSocket, line: &Line, number: u32) -> anyhow::Result<CallEnd> {
    for _ in 0..10 {
        send(socket, &line.request("BYE", number, "", ""));
        let sent = Instant::now();
        while sent.elapsed() < Duration::from_millis(500) {
            let Some(message) = receive(socket)? else { continue };
            match message.code() {
                Some(200) if message.answers() == Some("BYE") => return Ok(CallEnd::HungUp),
                Some(481) => return Ok(CallEnd::Dropped("it does not exist any more".to_owned())),
                Some(_) | None => {}
            }
        }
    }
    Ok(CallEnd::Dropped("nobody answers the BYE".to_owned()))
}

/// A phone that registers once a second: when it was registered, and by which node.
pub(crate) fn phone() -> Client<Vec<Good>> {
    Client::start(|stop| {
        let (socket, port) = socket()?;
        let line = Line::new("phone", PUBLIC, CALLER, port, call_id("phone"));
        let (mut number, mut next, mut good) = (0, Instant::now(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            if Instant::now() >= next {
                number += 1;
                send(&socket, &line.request("REGISTER", number, "Expires: 60\r\n", ""));
                next += Duration::from_secs(1);
            }
            let Some(answer) = receive(&socket)? else { continue };
            if let (Some(200), Some(node)) = (answer.code(), answer.node()) {
                good.push(Good { at: Instant::now(), node });
            }
        }
        Ok(good)
    })
}

/// Asterisk's registrations with the carrier, in the order of their arrival.
pub(crate) struct Carrier {
    _client: Client<()>,
    registered: Arc<Mutex<Vec<Good>>>,
}

impl Carrier {
    pub(crate) fn start() -> Self {
        let registered = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&registered);
        let client = Client::start(move |stop| {
            let socket = UdpSocket::bind((CARRIER, 5060))?;
            socket.set_read_timeout(Some(LOOK))?;
            let mut buffer = [0; 8192];
            while !stop.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let message = Message::read(&buffer[..length]);
                if message.method() != Some("REGISTER") {
                    continue;
                }
                let contact = message.header("Contact").unwrap_or_default();
                let expires = message.header("Expires").unwrap_or("60");
                let bound = format!("Contact: {contact};expires={expires}\r\nExpires: {expires}\r\n");
                // Whoever asked may be gone.
                let _ = socket.send_to(message.reply("200 OK", &bound).as_bytes(), from);
                // With 0 it takes its registration back.
                if let (Some(node), false) = (message.node(), expires == "0") {
                    let mut all = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    all.push(Good { at: Instant::now(), node });
                }
            }
            Ok(())
        });
        Self { _client: client, registered }
    }

    /// The registrations since then.
    pub(crate) fn since(&self, begin: Instant) -> Vec<Good> {
        let all = self.registered.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|it| it.at >= begin).copied().collect()
    }
}
