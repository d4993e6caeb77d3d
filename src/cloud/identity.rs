//! What this node is in EC2: its instance, its region, its network interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::Ipv4Net;

/// What the instance metadata service says about the instance that asks.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Identity {
    /// "i-0…".
    pub instance: String,
    /// "ap-northeast-1".
    pub region: String,
    /// Its network interfaces, by device number.
    pub interfaces: Vec<OwnInterface>,
}

/// One of this instance's own network interfaces.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OwnInterface {
    /// "eni-0…".
    pub id: String,
    /// Its MAC address, lower case with colons: how the guest's interface is found.
    pub mac: String,
    /// The IPv4 block of its subnet, where it is known.
    pub subnet_cidr: Option<Ipv4Net>,
    /// "vpc-0…".
    pub vpc: String,
    /// Its private IPv4 addresses, the primary one first.
    pub local_ipv4s: Vec<Ipv4Addr>,
    /// Its IPv6 addresses.
    pub ipv6s: Vec<Ipv6Addr>,
    /// 0 is the primary interface.
    pub device_number: u32,
}

impl OwnInterface {
    /// Whether the interface has this address.
    pub fn carries(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(it) => self.local_ipv4s.contains(&it),
            IpAddr::V6(it) => self.ipv6s.contains(&it),
        }
    }
}

/// The board's asset tag: EC2's own hypervisor writes the instance id there.
pub const ASSET_TAG: &str = "/sys/devices/virtual/dmi/id/board_asset_tag";

/// The instance id in a file like [`ASSET_TAG`], if it looks like one. Says nothing on other machines.
pub fn instance_from_dmi(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let id = text.trim();
    let digits = id.strip_prefix("i-")?;
    let hexadecimal = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (matches!(digits.len(), 8 | 17) && hexadecimal).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_an_instance_id_is_one() {
        let cases = [
            ("i-0123456789abcdef0\n", Some("i-0123456789abcdef0")),
            ("i-01234567", Some("i-01234567")),
            ("i-0123456789abcdefg", None),
            ("i-123", None),
            ("Not Specified", None),
            ("", None),
        ];
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in cases {
            std::fs::write(file.path(), text).unwrap();
            assert_eq!(instance_from_dmi(file.path()).as_deref(), expected, "{text:?}");
        }
        assert_eq!(instance_from_dmi(Path::new("/nonexistent")), None);
    }
}
