//! The addresses of this machine, from the kernel's own files: a node finds itself by them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// All of them, in this network namespace; what cannot be read has none.
pub fn own_addresses() -> Vec<IpAddr> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut all: Vec<IpAddr> = v4_of(&v4).into_iter().map(IpAddr::V4).collect();
    all.extend(v6_of(&v6).into_iter().map(IpAddr::V6));
    all
}

/// In the trie an address of our own is a leaf with the line "/32 host LOCAL" below it.
fn v4_of(trie: &str) -> Vec<Ipv4Addr> {
    let mut leaf: Option<Ipv4Addr> = None;
    let mut all = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf
            && !all.contains(&address)
        {
            all.push(address);
        }
    }
    all
}

/// Each line begins with the address: 32 hexadecimal digits.
fn v6_of(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok();
    table.lines().filter_map(address).map(Ipv6Addr::from_bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_found_once() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.1.0\n        /24 link UNICAST\n\
                    Local:\n     |-- 10.0.1.10\n        /32 host LOCAL\n     |-- 10.0.1.255\n        \
                    /32 link BROADCAST\n     |-- 10.0.1.10\n        /32 host LOCAL\n";
        assert_eq!(v4_of(trie), [Ipv4Addr::new(10, 0, 1, 10)]);
        let table = "fe800000000000000000000000000001 02 40 20 80 eth0\nx\n";
        assert_eq!(v6_of(table), ["fe80::1".parse::<Ipv6Addr>().unwrap()]);
        assert!(own_addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
