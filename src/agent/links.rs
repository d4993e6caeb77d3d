//! The UDP sockets: one per link of this node. Nothing here blocks.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};

use crate::cluster::LinkId;

/// Longer than any heartbeat; what is longer still arrives cut off, and its signature is then wrong.
const BUFFER: usize = 2048;
/// What the kernel keeps for us while we do not look, in bytes: some thousand datagrams.
const RECEIVE_BUFFER: usize = 1 << 20;
/// DSCP CS6, "network control" (RFC 4594), in the upper six bits of the octet.
const CLASS: u8 = 48 << 2;

/// This node's sockets, by link.
#[derive(Debug)]
pub struct Links {
    links: Vec<Link>,
    /// The link that is asked first in the next turn.
    next: usize,
    buffer: Box<[u8; BUFFER]>,
}

#[derive(Debug)]
struct Link {
    socket: UdpSocket,
    address: SocketAddr,
    traffic: Traffic,
    /// In the present turn: nothing more to read.
    drained: bool,
}

/// What went over one link since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Datagrams received, whoever sent them.
    pub received: u64,
    /// Datagrams given to the kernel.
    pub sent: u64,
    /// Datagrams not sent because the kernel's buffer was full.
    pub dropped: u64,
    /// Datagrams that the kernel refused: no route, interface down, firewall.
    pub refused: u64,
    /// Errors on receiving.
    pub receive_errors: u64,
}

/// A datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Over which link.
    pub link: LinkId,
    /// From which address: anyone's claim, until its signature is checked.
    pub from: SocketAddr,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What one turn of receiving has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Batch {
    /// So many datagrams were taken.
    pub taken: usize,
    /// The budget was used up, and there may be more.
    pub more: bool,
}

/// A link's socket could not be had.
#[derive(Debug)]
pub struct BindError {
    /// The link's own address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// What the kernel said.
    pub source: io::Error,
}

impl Links {
    /// One socket per address, bound to it alone: a datagram's link is the address that it was sent to.
    /// Port 0 takes any free one (for tests).
    ///
    /// # Errors
    /// An address is not on this machine, the port is in use, or not allowed. SO_REUSEADDR is not set:
    /// with it two agents would share the port, and one of them be deaf.
    pub fn bind(addresses: &[IpAddr], port: u16) -> Result<Self, BindError> {
        let mut links = Vec::with_capacity(addresses.len());
        for &address in addresses {
            links.push(Link::bind(address, port).map_err(|source| BindError { address, port, source })?);
        }
        Ok(Self { links, next: 0, buffer: Box::new([0; BUFFER]) })
    }

    /// The sockets' addresses, in the order of the links.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.links.iter().map(|link| link.address)
    }

    /// What went over a link; `None` if there is no such link.
    pub fn traffic(&self, link: LinkId) -> Option<Traffic> {
        self.links.get(usize::from(link.0)).map(|link| link.traffic)
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.links.iter().map(|link| link.socket.as_fd())
    }

    /// One turn: takes at most `budget` datagrams, so that a flood cannot keep the loop from its
    /// timers, and one from each link at a time, so that a flood on one link does not hide the others. The
    /// next turn begins with the link after the last.
    pub fn recv_batch(&mut self, budget: usize, mut take: impl FnMut(Received<'_>)) -> Batch {
        self.links.iter_mut().for_each(|link| link.drained = false);
        let mut open = self.links.len();
        let mut taken = 0;
        while open > 0 && taken < budget {
            let place = self.next;
            self.next = (place + 1) % self.links.len();
            let link = &mut self.links[place];
            if link.drained {
                continue;
            }
            if let Some((length, from)) = link.receive(&mut *self.buffer) {
                taken += 1;
                // `LinkId` has 256 values, and a node has a handful of links.
                let link = LinkId(u8::try_from(place).unwrap_or(u8::MAX));
                take(Received { link, from, bytes: &self.buffer[..length] });
            } else {
                link.drained = true;
                open -= 1;
            }
        }
        Batch { taken, more: open > 0 }
    }

    /// Sends a datagram over a link, or not at all: a heartbeat that has to wait is better lost.
    ///
    /// # Errors
    /// What the kernel said ([`io::ErrorKind::WouldBlock`]: its buffer is full); it is also counted in
    /// [`Traffic`]. There is no such link: [`io::ErrorKind::NotFound`].
    pub fn send(&mut self, link: LinkId, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let link = self.links.get_mut(usize::from(link.0)).ok_or(io::ErrorKind::NotFound)?;
        let sent = link.socket.send_to(bytes, to);
        match &sent {
            Ok(_) => link.traffic.sent += 1,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => link.traffic.dropped += 1,
            Err(_) => link.traffic.refused += 1,
        }
        sent.map(|_length| ())
    }
}

impl Link {
    fn bind(address: IpAddr, port: u16) -> io::Result<Self> {
        let wanted = SocketAddr::new(address, port);
        let socket = Socket::new(Domain::for_address(wanted), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if wanted.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Both are wishes: a smaller buffer or another class costs datagrams under load, no more.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            let _smaller = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        }
        let _class = match wanted {
            SocketAddr::V4(_) => sockopt::set_ip_tos(&socket, CLASS),
            SocketAddr::V6(_) => sockopt::set_ipv6_tclass(&socket, u32::from(CLASS)),
        };
        socket.bind(&wanted.into())?;
        let socket = UdpSocket::from(socket);
        let address = socket.local_addr()?;
        Ok(Self { socket, address, traffic: Traffic::default(), drained: false })
    }

    /// The next datagram's length and sender. An error counts as nothing: it is over with the next call.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self.socket.recv_from(buffer) {
            Ok(received) => {
                self.traffic.received += 1;
                Some(received)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => {
                self.traffic.receive_errors += 1;
                None
            }
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, port, source } = self;
        write!(f, "cannot listen for heartbeats on {address}, UDP port {port}: ")?;
        if source.kind() == io::ErrorKind::AddrInUse {
            write!(
                f,
                "another program has the port (`ss -ulpn 'sport = :{port}'` names it). Stop it, \
                 or set heartbeat.port to another one on every node"
            )
        } else if source.kind() == io::ErrorKind::AddrNotAvailable {
            write!(
                f,
                "no interface of this machine has the address. Bring the interface up, \
                 or correct this node's links"
            )
        } else if source.kind() == io::ErrorKind::PermissionDenied {
            write!(
                f,
                "ports below 1024 need root or CAP_NET_BIND_SERVICE. Start it as the systemd unit does, \
                 or set heartbeat.port to a higher one on every node"
            )
        } else {
            write!(f, "{source}")
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn loopback(n: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, 0, 0, n))
    }

    fn stranger() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").unwrap()
    }

    /// One turn: the links and first bytes of what came.
    fn turn(links: &mut Links, budget: usize) -> (Vec<(u8, u8)>, Batch) {
        let mut came = vec![];
        let batch = links.recv_batch(budget, |it| came.push((it.link.0, it.bytes[0])));
        (came, batch)
    }

    #[test]
    fn datagrams_keep_link_and_sender() {
        let mut here = Links::bind(&[loopback(1), loopback(2)], 0).unwrap();
        let mut there = Links::bind(&[loopback(3), loopback(4)], 0).unwrap();
        let to: Vec<SocketAddr> = there.addresses().collect();
        let from: Vec<SocketAddr> = here.addresses().collect();
        here.send(LinkId(0), to[0], b"a").unwrap();
        here.send(LinkId(1), to[1], b"b").unwrap();
        let mut came = vec![];
        let batch = there.recv_batch(64, |it| came.push((it.link, it.from, it.bytes.to_vec())));
        assert_eq!(came, [(LinkId(0), from[0], b"a".to_vec()), (LinkId(1), from[1], b"b".to_vec())]);
        assert_eq!(batch, Batch { taken: 2, more: false });
        assert_eq!(here.traffic(LinkId(0)), Some(Traffic { sent: 1, ..Traffic::default() }));
        assert_eq!(there.traffic(LinkId(1)), Some(Traffic { received: 1, ..Traffic::default() }));
        assert_eq!(here.send(LinkId(2), to[0], b"c").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn ipv6_works_as_ipv4_does() {
        let mut links = Links::bind(&[IpAddr::V6(Ipv6Addr::LOCALHOST)], 0).unwrap();
        let own = links.addresses().next().unwrap();
        links.send(LinkId(0), own, b"6").unwrap();
        assert_eq!(turn(&mut links, 8).0, [(0, b'6')]);
        assert_eq!(sockopt::ipv6_tclass(&links.links[0].socket).unwrap(), u32::from(CLASS));
    }

    #[test]
    fn sockets_are_marked_as_network_control() {
        let links = Links::bind(&[loopback(1)], 0).unwrap();
        assert_eq!(sockopt::ip_tos(&links.links[0].socket).unwrap(), 0xc0);
    }

    #[test]
    fn flood_on_one_link_neither_hides_the_other_nor_takes_the_turn() {
        let mut links = Links::bind(&[loopback(1), loopback(2)], 0).unwrap();
        let to: Vec<SocketAddr> = links.addresses().collect();
        let garbage = stranger();
        let flood = |many: u32, bytes: &[u8], to| {
            for _ in 0..many {
                garbage.send_to(bytes, to).unwrap();
            }
        };
        flood(100, &[0xee; 100], to[0]);
        flood(3, b"h", to[1]);
        let (came, batch) = turn(&mut links, 10);
        assert_eq!(batch, Batch { taken: 10, more: true });
        assert_eq!(came.iter().filter(|(link, _)| *link == 1).count(), 3);
        assert!(came[..6].iter().filter(|(link, _)| *link == 1).count() == 3, "{came:?}");
        // With a budget of one, the turns alternate: neither link waits for the end of the other's flood.
        flood(2, b"h", to[1]);
        let alternating: Vec<u8> = (0..4).map(|_| turn(&mut links, 1).0[0].0).collect();
        assert!(alternating == [0, 1, 0, 1] || alternating == [1, 0, 1, 0], "{alternating:?}");
        let (_, rest) = turn(&mut links, 1000);
        assert_eq!(rest, Batch { taken: 100 + 3 + 2 - 10 - 4, more: false });
    }

    #[test]
    fn no_budget_takes_nothing() {
        let mut links = Links::bind(&[loopback(1)], 0).unwrap();
        assert_eq!(turn(&mut links, 0).1, Batch { taken: 0, more: true });
        assert_eq!(turn(&mut Links::bind(&[], 0).unwrap(), 8).1, Batch { taken: 0, more: false });
    }

    #[test]
    fn datagrams_too_long_or_empty_do_no_harm() {
        let mut links = Links::bind(&[loopback(1)], 0).unwrap();
        let to = links.addresses().next().unwrap();
        stranger().send_to(&[7; 60_000], to).unwrap();
        stranger().send_to(&[], to).unwrap();
        let mut lengths = vec![];
        links.recv_batch(8, |it| lengths.push(it.bytes.len()));
        assert_eq!(lengths, [BUFFER, 0]);
    }

    #[test]
    fn what_the_kernel_refuses_is_counted() {
        let mut links = Links::bind(&[loopback(1)], 0).unwrap();
        // Too long for UDP.
        let to = links.addresses().next().unwrap();
        assert!(links.send(LinkId(0), to, &[0; 70_000]).is_err());
        assert_eq!(links.traffic(LinkId(0)).unwrap().refused, 1);
    }

    #[test]
    fn port_in_use_is_said_with_the_remedy() {
        let first = Links::bind(&[loopback(1)], 0).unwrap();
        let port = first.addresses().next().unwrap().port();
        let said = Links::bind(&[loopback(1)], port).unwrap_err().to_string();
        assert_eq!(
            said,
            format!(
                "cannot listen for heartbeats on 127.0.0.1, UDP port {port}: another program has the port \
                 (`ss -ulpn 'sport = :{port}'` names it). Stop it, or set heartbeat.port to another one \
                 on every node"
            )
        );
    }

    #[test]
    fn address_of_another_machine_is_said_with_the_remedy() {
        // TEST-NET-3 (RFC 5737) is nobody's.
        let error = Links::bind(&[IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1))], 0).unwrap_err();
        assert!(error.to_string().contains("no interface of this machine has the address"), "{error}");
    }
}
