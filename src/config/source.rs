//! The local ports of `source-ports`: what leaves from them leaves from the service address.

use std::fmt;

use super::report::{Refusal, refuse};

/// A protocol with ports.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

impl Transport {
    /// "udp" or "tcp".
    pub const fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// Local ports, first to last.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourcePorts {
    /// Of this protocol.
    pub transport: Transport,
    /// From this one, 1 or more,
    pub first: u16,
    /// to this one, not below the first.
    pub last: u16,
}

impl SourcePorts {
    /// Whether the two have a port in common.
    pub fn overlap(&self, other: &Self) -> bool {
        self.transport == other.transport && self.first <= other.last && other.first <= self.last
    }
}

/// As the file has it: "udp:5060", "udp:10000-20000".
impl fmt::Display for SourcePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transport, first, last } = self;
        write!(f, "{}:{first}", transport.word())?;
        if first == last { Ok(()) } else { write!(f, "-{last}") }
    }
}

/// One entry of the list.
pub(super) fn source_ports(text: &str) -> Result<SourcePorts, Refusal> {
    let rule = "udp or tcp, and a local port or a range of them, 1 to 65535, the smaller one first";
    let remedy = "write it like \"udp:5060\" or \"udp:10000-20000\"";
    let parsed = || {
        let (word, ports) = text.split_once(':')?;
        let transport = [Transport::Udp, Transport::Tcp].into_iter().find(|it| it.word() == word)?;
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let ports = SourcePorts { transport, first: port(first)?, last: port(last)? };
        (ports.first <= ports.last).then_some(ports)
    };
    parsed().map_or_else(|| refuse(rule, remedy), Ok)
}

/// Digits alone: `parse` would also take a sign.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for good in ["udp:5060", "udp:10000-20000", "tcp:5060", "udp:1-65535"] {
            assert_eq!(source_ports(good).unwrap().to_string(), good);
        }
        assert_eq!(source_ports("udp:7-7").unwrap().to_string(), "udp:7");
        for bad in [
            "5060",
            "udp:",
            "udp:0",
            "udp:20000-10000",
            "udp:65536",
            "sctp:5060",
            "udp:+5",
            "udp:1-2-3",
            "UDP:5",
        ] {
            assert!(source_ports(bad).is_err(), "{bad}");
        }
        let overlap = |a: &str, b: &str| source_ports(a).unwrap().overlap(&source_ports(b).unwrap());
        assert!(overlap("udp:5060", "udp:5000-5060") && overlap("udp:5060-5070", "udp:5060"));
        assert!(!overlap("udp:5060", "udp:5061-5070") && !overlap("udp:5060", "tcp:5060"));
    }
}
