//! An ICMP echo (RFC 792, RFC 4443): the oldest way to ask whether a way leads somewhere. Without privilege over
//! the kernel's ping sockets, where `net.ipv4.ping_group_range` allows them (icmp(7)); else over a raw socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{Outcome, of_error};

/// An echo that is not answered may have been lost: so many are sent within the timeout.
const TRIES: u32 = 3;
const HEADER: usize = 8;
/// Longer than any answer to what we send.
const LONGEST: usize = 1500;
const REMEDY: &str = "no ICMP socket is allowed here; run as root, or with AmbientCapabilities=CAP_NET_RAW in the \
                      unit, or let its group ping: `sysctl net.ipv4.ping_group_range`";

/// One echo request, and what answers it.
#[derive(Clone, Copy, Debug)]
struct Echo {
    v6: bool,
    /// Nobody else's answer has this.
    token: [u8; 16],
}

/// Asks, up to [`TRIES`] times within the timeout, and hears for as long as it is polled.
pub(super) async fn ask(target: IpAddr, timeout: Duration) -> Outcome {
    let socket = match open(target) {
        Ok(socket) => socket,
        Err(error) => return cannot(&error),
    };
    let mut token = [0; 16];
    if let Err(error) = getrandom::fill(&mut token) {
        return Outcome::Unknown(error.to_string());
    }
    let echo = Echo { v6: target.is_ipv6(), token };
    match exchange(&socket, echo, timeout).await {
        Ok(()) => Outcome::Ok,
        Err(error) => of_error(&error),
    }
}

/// Why there is no socket, with the remedy where there is one.
pub(super) fn cannot(error: &io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Outcome::Unknown(REMEDY.into());
    }
    of_error(error)
}

fn open(target: IpAddr) -> io::Result<UdpSocket> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))
        .or_else(|_refused| Socket::new(domain, Type::RAW, Some(protocol)))?;
    socket.set_nonblocking(true)?;
    // Only what comes from there is heard.
    socket.connect(&SocketAddr::new(target, 0).into())?;
    // It is a socket of datagrams that is connected: nothing else of UDP is asked of it.
    UdpSocket::from_std(socket.into())
}

async fn exchange(socket: &UdpSocket, echo: Echo, timeout: Duration) -> io::Result<()> {
    let mut sent = 0;
    loop {
        sent += 1;
        socket.send(&echo.request(sent)).await?;
        let heard = hear(socket, echo);
        if u32::from(sent) == TRIES {
            return heard.await;
        }
        if let Ok(answered) = tokio::time::timeout(timeout / TRIES, heard).await {
            return answered;
        }
    }
}

async fn hear(socket: &UdpSocket, echo: Echo) -> io::Result<()> {
    let mut datagram = [0; LONGEST];
    loop {
        let length = socket.recv(&mut datagram).await?;
        if echo.is_answered_by(&datagram[..length]) {
            return Ok(());
        }
    }
}

impl Echo {
    /// Type, code, checksum, identifier, sequence, and the token. A ping socket sets the identifier; the kernel sets
    /// the checksum there and for IPv6 (RFC 3542, 3.1).
    fn request(&self, sequence: u16) -> Vec<u8> {
        let kind = if self.v6 { 128 } else { 8 };
        let mut bytes = vec![kind, 0, 0, 0, self.token[0], self.token[1]];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&self.token);
        if !self.v6 {
            let sum = checksum(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        bytes
    }

    /// Whether it is an echo reply with our token. Over a raw socket of IPv4 the IP header comes first.
    fn is_answered_by(&self, datagram: &[u8]) -> bool {
        let header = match datagram.first() {
            Some(first) if !self.v6 && first >> 4 == 4 => usize::from(first & 0x0f) * 4,
            Some(_) | None => 0,
        };
        let reply = if self.v6 { 129 } else { 0 };
        let icmp = datagram.get(header..).unwrap_or_default();
        icmp.first() == Some(&reply) && icmp.get(HEADER..) == Some(&self.token)
    }
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|it| u32::from(it[0]) << 8 | u32::from(it.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_as_the_rfcs_have_it() {
        // RFC 1071's own example.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let echo = Echo { v6: false, token: *b"0123456789abcdef" };
        let request = echo.request(7);
        assert_eq!((request[0], request[1], &request[6..8]), (8, 0, &[0, 7][..]));
        assert_eq!(checksum(&request), 0, "a good message sums to nothing");
        let six = Echo { v6: true, ..echo }.request(7);
        assert_eq!(six[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn only_a_reply_with_our_token_answers() {
        let echo = Echo { v6: false, token: *b"0123456789abcdef" };
        let mut reply = echo.request(1);
        assert!(!echo.is_answered_by(&reply), "the request itself, which loopback shows to a raw socket");
        reply[0] = 0;
        assert!(echo.is_answered_by(&reply));
        let mut raw = vec![0x45; 20];
        raw.extend_from_slice(&reply);
        assert!(echo.is_answered_by(&raw), "with its IP header");
        let other = Echo { token: [1; 16], ..echo };
        assert!(!other.is_answered_by(&reply) && !echo.is_answered_by(&reply[..23]));
        assert!(!echo.is_answered_by(&[]) && !echo.is_answered_by(&[0x4f]));
        let six = Echo { v6: true, ..echo };
        reply[0] = 129;
        assert!(six.is_answered_by(&reply) && !echo.is_answered_by(&reply));
    }
}
