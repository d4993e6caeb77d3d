//! SIP OPTIONS (RFC 3261, 11) over UDP and TCP: any response is life, silence is a failure.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::super::sip::Options;
use super::{Outcome, of_error};
use crate::config::{Sip, Transport};

/// T1 of RFC 3261, 17.1.1.1: a request over UDP is sent again after so long.
const T1: Duration = Duration::from_millis(500);
/// What a response may be long: more than any network between us lets through whole, over UDP.
const LONGEST: usize = 65_535;

/// Asks, for as long as it is polled; the timeout says when a datagram may have been lost.
pub(in super::super) async fn ask(sip: Sip, timeout: Duration) -> Outcome {
    let answer = match sip.transport {
        Transport::Udp => over_udp(sip.address, timeout).await,
        Transport::Tcp => over_tcp(sip.address).await,
    };
    judge(answer)
}

pub(super) fn judge(answer: io::Result<()>) -> Outcome {
    match answer {
        Ok(()) => Outcome::Ok,
        // This machine has no way there: that says nothing about the service.
        Err(error) if error.raw_os_error() == Some(Errno::NETUNREACH.raw_os_error()) => {
            Outcome::Unknown(error.to_string())
        }
        Err(error) => of_error(&error),
    }
}

/// Sends one OPTIONS, and once more if that may have been lost; waits for a response to it. What else arrives is
/// passed over.
async fn over_udp(to: SocketAddr, timeout: Duration) -> io::Result<()> {
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    // Only what comes from there is heard, and a refusal is known at once.
    socket.connect(to).await?;
    let options = Options::new("UDP", socket.local_addr()?, to, unique()?);
    socket.send(options.bytes()).await?;
    let first = tokio::time::timeout(T1.min(timeout / 2), response(&socket, &options)).await;
    if let Ok(answered) = first {
        return answered;
    }
    socket.send(options.bytes()).await?;
    response(&socket, &options).await
}

async fn response(socket: &UdpSocket, options: &Options) -> io::Result<()> {
    let mut datagram = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut datagram).await?;
        if options.is_answered_by(&datagram[..length]) {
            return Ok(());
        }
    }
}

/// One OPTIONS over a connection of its own (RFC 3261, 18.2.2: the response comes over the same one).
async fn over_tcp(to: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    let options = Options::new("TCP", stream.local_addr()?, to, unique()?);
    stream.write_all(options.bytes()).await?;
    let mut heard = Vec::new();
    loop {
        let mut piece = [0; 2048];
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Err(io::Error::other("the connection was closed without a response"));
        }
        heard.extend_from_slice(&piece[..length]);
        // Its headers end with an empty line.
        if heard.windows(4).any(|it| it == b"\r\n\r\n") && options.is_answered_by(&heard) {
            return Ok(());
        }
        if heard.len() > LONGEST {
            return Err(io::Error::other("what it says is no response"));
        }
    }
}

fn unique() -> io::Result<u128> {
    let mut unique = [0; 16];
    getrandom::fill(&mut unique).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u128::from_ne_bytes(unique))
}
