//! The forms of single values: what one text must look like, whatever else the file says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::checks::Sip;
use super::report::{Refusal, refuse};
use super::source::Transport;
use crate::cloud::Destination;

/// A name: short enough for tags and tables, and never taken for an option of the command line.
pub(super) fn name(text: &str) -> Result<String, Refusal> {
    const LONGEST: usize = 32;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.len() <= LONGEST && text.chars().all(allowed) && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    refuse(
        "a name has 1 to 32 characters of a-z, 0-9 and '-', and does not begin with '-'",
        "choose another name, the same on every node",
    )
}

const DURATION: &str = "a number with its unit (ms, s, m, h), from 1ms to 24h";

/// A duration with its unit: 1 ms to 24 h.
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let rule = format!("a duration is {DURATION}");
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return refuse(rule, format!("add the unit: \"{text}ms\" or \"{text}s\""));
    }
    match humantime::parse_duration(text) {
        Ok(duration) if (Duration::from_millis(1)..=Duration::from_hours(24)).contains(&duration) => {
            Ok(duration)
        }
        Ok(_) | Err(_) => refuse(rule, "write it like \"250ms\" or \"2s\""),
    }
}

/// A duration, or the word for none.
pub(super) fn duration_or(text: &str, none: &str) -> Result<Option<Duration>, Refusal> {
    if text == none {
        return Ok(None);
    }
    duration(text).map(Some).or_else(|_| {
        refuse(format!("\"{none}\", or {DURATION}"), format!("write \"{none}\", or a time like \"10m\""))
    })
}

/// An address that an interface can have.
pub(super) fn address(text: &str) -> Result<IpAddr, Refusal> {
    let Ok(address) = text.parse::<IpAddr>() else {
        let remedy = match text.split_once('/') {
            Some((address, _)) => format!("write the address alone, without a prefix length: \"{address}\""),
            None => "write it like \"10.0.1.10\" or \"fd12:3456::a\"; names are not looked up".to_owned(),
        };
        return refuse("an IPv4 or IPv6 address", remedy);
    };
    let unusable = match address {
        IpAddr::V4(it) => it.is_unspecified() || it.is_multicast() || it.is_broadcast() || it.is_link_local(),
        IpAddr::V6(it) => {
            it.is_unspecified()
                || it.is_multicast()
                || it.is_unicast_link_local()
                || it.to_ipv4_mapped().is_some()
        }
    };
    if unusable {
        return refuse(
            "no unspecified, multicast, broadcast, link-local or IPv4-mapped address",
            "write the address that EC2 gave to the interface",
        );
    }
    Ok(address)
}

/// An IPv4 address that an interface can have.
pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, Refusal> {
    match address(text)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => refuse(
            "an IPv4 address; IPv6 addresses cannot be moved in one call",
            "move IPv6 by [[group.route]], whose destinations may be IPv6",
        ),
    }
}

/// Address and port of a service.
pub(super) fn service_address(text: &str) -> Result<SocketAddr, Refusal> {
    let rule = "address and port of the service; names are not looked up";
    let remedy = "write it like \"203.0.113.10:5060\" or \"[2001:db8::a]:5060\"";
    let Ok(service) = text.parse::<SocketAddr>() else { return refuse(rule, remedy) };
    address(&service.ip().to_string())?;
    if service.port() == 0 { refuse(rule, remedy) } else { Ok(service) }
}

/// The same with its protocol, of which there is one so far.
pub(super) fn udp_service(text: &str) -> Result<SocketAddr, Refusal> {
    match text.strip_prefix("udp:") {
        Some(rest) => service_address(rest),
        None => refuse(
            "SIP is asked over UDP: udp:ADDRESS:PORT",
            "write it like \"udp:203.0.113.10:5060\"; for another protocol there is tcp or command",
        ),
    }
}

/// Who is asked by SIP, and over what.
pub(super) fn sip(text: &str) -> Result<Sip, Refusal> {
    let transports = [("udp:", Transport::Udp), ("tcp:", Transport::Tcp)];
    for (prefix, transport) in transports {
        if let Some(rest) = text.strip_prefix(prefix) {
            return service_address(rest).map(|address| Sip { transport, address });
        }
    }
    refuse(
        "SIP is asked over UDP or TCP: udp:ADDRESS:PORT or tcp:ADDRESS:PORT",
        "write it like \"udp:127.0.0.1:5060\"",
    )
}

/// A URL that is asked in clear: the server, and path with query.
pub(super) fn http(text: &str) -> Result<(SocketAddr, String), Refusal> {
    let rule = "a URL that begins with http://, whose host is an address; names are not looked up";
    let remedy = "write it like \"http://127.0.0.1:8080/health\"";
    if text.starts_with("https://") {
        let remedy =
            "ask it in clear on loopback, or with a program: command = [\"curl\", \"-fsS\", \"https://…\"]";
        return refuse("only http:// is asked here, without TLS", remedy);
    }
    let Ok(url) = text.parse::<hyper::Uri>() else { return refuse(rule, remedy) };
    let server = url.authority().filter(|it| url.scheme_str() == Some("http") && !it.as_str().contains('@'));
    let Some(server) = server else { return refuse(rule, remedy) };
    let Ok(host) = server.host().trim_matches(['[', ']']).parse::<IpAddr>() else {
        return refuse(rule, remedy);
    };
    address(&host.to_string())?;
    let path = url.path_and_query().map_or("/", |it| it.as_str()).to_owned();
    match server.port_u16().unwrap_or(80) {
        0 => refuse(rule, remedy),
        port => Ok((SocketAddr::new(host, port), path)),
    }
}

/// An address that is asked by ICMP echo.
pub(super) fn ping(text: &str) -> Result<IpAddr, Refusal> {
    match address(text) {
        Err(_) if text.parse::<SocketAddr>().is_ok() => {
            refuse("ICMP has no ports", "write the address alone, or ask by tcp = \"ADDRESS:PORT\"")
        }
        other => other,
    }
}

/// The name of a network interface (at most 15 bytes, netdevice(7)), or its link address in small letters.
pub(super) fn interface(text: &str) -> Result<String, Refusal> {
    let octets: Vec<&str> = text.split(':').collect();
    let hex = |it: &&str| it.len() == 2 && it.bytes().all(|b| b.is_ascii_hexdigit());
    if octets.len() == 6 && octets.iter().all(hex) {
        return Ok(text.to_ascii_lowercase());
    }
    let allowed = |c: char| c.is_ascii_graphic() && c != '/' && c != ':';
    if (1..=15).contains(&text.len()) && text.chars().all(allowed) && text != "." && text != ".." {
        return Ok(text.to_owned());
    }
    refuse(
        "the name of a network interface, or its link address",
        "write it like \"ens5\" or \"02:1a:2b:3c:4d:5e\"; `ip link` shows both",
    )
}

/// A service unit of systemd (systemd.unit(5)).
pub(super) fn unit(text: &str) -> Result<String, Refusal> {
    const LONGEST: usize = 255;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":_.\\@-".contains(c);
    let rule = "the name of a systemd unit that ends with .service";
    match text.strip_suffix(".service") {
        Some(name) if name.ends_with('@') => {
            refuse("a template is not a unit", format!("name its instance: \"{name}INSTANCE.service\""))
        }
        Some(name)
            if !name.is_empty()
                && text.len() <= LONGEST
                && !text.starts_with(['-', '.'])
                && text.chars().all(allowed) =>
        {
            Ok(text.to_owned())
        }
        None if !text.is_empty() && text.chars().all(|c| allowed(c) && c != '.') => {
            refuse(rule, format!("write it in full: \"{text}.service\""))
        }
        Some(_) | None => refuse(rule, "`systemctl list-units --type=service` shows the names"),
    }
}

/// An OCF resource agent: its provider and its name, which are a folder and a file.
pub(super) fn ocf_agent(text: &str) -> Result<(String, String), Refusal> {
    let word = |it: &str| {
        !it.is_empty()
            && !it.starts_with('.')
            && it.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
    };
    let rule = "an OCF agent is provider:agent, a folder and a file below /usr/lib/ocf/resource.d";
    let short = text.strip_prefix("ocf:").unwrap_or(text);
    match short.split_once(':') {
        Some((provider, agent)) if word(provider) && word(agent) && short == text => {
            Ok((provider.to_owned(), agent.to_owned()))
        }
        Some((provider, agent)) if word(provider) && word(agent) => {
            refuse(rule, format!("leave \"ocf:\" out: \"{short}\""))
        }
        Some(_) => {
            refuse(rule, "write \"heartbeat:asterisk\", say; `ls /usr/lib/ocf/resource.d/*` shows them")
        }
        None if word(short) => refuse(rule, format!("name its provider: \"heartbeat:{short}\"")),
        None => refuse(rule, "write \"heartbeat:asterisk\", say; `ls /usr/lib/ocf/resource.d/*` shows them"),
    }
}

/// The name of a DynamoDB table ("Supported data types and naming rules in Amazon DynamoDB").
pub(super) fn dynamodb_table(text: &str) -> Result<String, Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (3..=255).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    refuse(
        "a table's name has 3 to 255 characters of a-z, A-Z, 0-9, '_', '-' and '.'",
        "write the name alone, not the ARN; `aws dynamodb list-tables` shows it",
    )
}

/// An id of EC2: its prefix and 8 or 17 hexadecimal digits.
pub(super) fn ec2_id(text: &str, prefix: &str, shown_by: &str) -> Result<String, Refusal> {
    let digits = text.strip_prefix(prefix);
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if digits.is_some_and(|it| [8, 17].contains(&it.len()) && it.chars().all(hex)) {
        return Ok(text.to_owned());
    }
    let remedy = match text.parse::<IpAddr>() {
        Ok(_) => format!("this is the address itself; `aws ec2 {shown_by}` shows its id"),
        Err(_) => format!("`aws ec2 {shown_by}` shows it"),
    };
    refuse(format!("an id of the form {prefix}… with 8 or 17 hexadecimal digits"), remedy)
}

/// An allocation id.
pub(super) fn allocation_id(text: &str) -> Result<String, Refusal> {
    ec2_id(text, "eipalloc-", "describe-addresses")
}

/// A route table's id.
pub(super) fn route_table(text: &str) -> Result<String, Refusal> {
    ec2_id(text, "rtb-", "describe-route-tables")
}

/// Where a route leads from.
pub(super) fn destination(text: &str) -> Result<Destination, Refusal> {
    if text.starts_with("pl-") {
        return ec2_id(text, "pl-", "describe-managed-prefix-lists").map(Destination::PrefixList);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let length = if address.is_ipv4() { 32 } else { 128 };
        return refuse(
            "a destination has a prefix length",
            format!("for this one address write \"{text}/{length}\""),
        );
    }
    let Ok(net) = text.parse::<IpNet>() else {
        return refuse(
            "an IPv4 or IPv6 network, or the id of a prefix list",
            "write it like \"10.99.0.1/32\", \"2001:db8::/64\" or \"pl-0123456789abcdef0\"",
        );
    };
    if net != net.trunc() {
        return refuse(
            "a destination has no bits set beyond its prefix length",
            format!(
                "write \"{}\" for the network, or \"{}/{}\" for the one address",
                net.trunc(),
                net.addr(),
                net.max_prefix_len()
            ),
        );
    }
    if net.prefix_len() > 0 && never_routed().iter().any(|special| overlap(special, &net)) {
        return refuse(
            "no loopback, link-local or multicast destination: EC2 keeps its own services there (IMDS, DNS, time)",
            "leave it out",
        );
    }
    Ok(Destination::Cidr(net))
}

/// Whether one network contains the other.
fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}

/// Networks that no route of a VPC may lead from, or that must never lead to a node: loopback, link-local
/// with IMDS and the resolver, multicast; and EC2's services over IPv6 (fd00:ec2::/32).
fn never_routed() -> [IpNet; 7] {
    let v4 = |a, b, length| IpNet::new_assert(Ipv4Addr::new(a, b, 0, 0).into(), length);
    let v6 = |a, b, length| IpNet::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0).into(), length);
    let loopback = IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128);
    [
        v4(127, 0, 8),
        v4(169, 254, 16),
        v4(224, 0, 4),
        v6(0xfe80, 0, 10),
        v6(0xff00, 0, 8),
        v6(0xfd00, 0xec2, 32),
        loopback,
    ]
}

/// A path that does not depend on the directory in which the agent was started.
pub(super) fn path(text: &str) -> Result<PathBuf, Refusal> {
    let hex_digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    if hex_digits >= 64 && !text.starts_with('/') {
        return refuse(
            "a path; keys are never written in this file, which more people may read",
            "write the key into a file with mode 0600 and name that file; change the key if others have seen it",
        );
    }
    if !Path::new(text).is_absolute() {
        return refuse("an absolute path", format!("write it from the root: \"/etc/standin/{text}\", say"));
    }
    Ok(PathBuf::from(text))
}

/// The path of a Unix socket.
pub(super) fn socket(text: &str) -> Result<PathBuf, Refusal> {
    // sockaddr_un has 108 bytes, the last of which is a zero (unix(7)).
    const LONGEST: usize = 107;
    if text.len() > LONGEST {
        return refuse("the path of a Unix socket has at most 107 bytes", "choose a shorter path");
    }
    path(text)
}

/// An AWS region.
pub(super) fn region(text: &str) -> Result<String, Refusal> {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase());
    let (last, first) = parts.split_last().unwrap_or((&"", &[]));
    if first.len() >= 2 && first.iter().all(letters) && matches!(last.parse::<u8>(), Ok(1..=99)) {
        return Ok(text.to_owned());
    }
    let zone = text.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let remedy = if zone != text && zone.ends_with(|c: char| c.is_ascii_digit()) {
        format!("this is an availability zone; its region is \"{zone}\"")
    } else {
        "write it like \"ap-northeast-1\", or leave it out: then it comes from the environment or IMDS"
            .to_owned()
    };
    refuse("the name of an AWS region", remedy)
}

/// Another endpoint for EC2 or DynamoDB.
pub(super) fn endpoint(text: &str) -> Result<String, Refusal> {
    let rule = "a URL: http:// or https://, a host, and perhaps a port";
    let remedy = "write it like \"https://vpce-….ec2.ap-northeast-1.vpce.amazonaws.com\"";
    let Ok(url) = text.parse::<hyper::Uri>() else { return refuse(rule, remedy) };
    let Some(authority) = url.authority() else { return refuse(rule, remedy) };
    if authority.as_str().contains('@') {
        return refuse(
            "a URL without credentials: this file may be read by more people",
            "leave the part before '@' out; credentials come from a profile or the instance's role",
        );
    }
    if !matches!(url.scheme_str(), Some("http" | "https")) || authority.host().is_empty() {
        return refuse(rule, remedy);
    }
    Ok(text.to_owned())
}

/// The address in an endpoint's URL, if its host is one.
pub(super) fn endpoint_address(url: &str) -> Option<IpAddr> {
    let url = url.parse::<hyper::Uri>().ok()?;
    url.host()?.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("1s 500ms").unwrap(), Duration::from_millis(1500));
        for bad in ["", "2", "0s", "-1s", "2 fortnights", "1M", "25h", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("2").unwrap_err().remedy.contains("\"2s\""));
    }

    #[test]
    fn destinations() {
        for good in
            ["10.99.0.1/32", "0.0.0.0/0", "::/0", "2001:db8::/64", "pl-0123456789abcdef0", "pl-01234567"]
        {
            assert_eq!(destination(good).unwrap().to_string(), good);
        }
        for bad in [
            "10.99.0.1/24",
            "10.99.0.1",
            "pl-xyz",
            "10.99.0.0/33",
            "office",
            "169.254.169.254/32",
            "fe80::/64",
            "128.0.0.0/1",
        ] {
            assert!(destination(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn services() {
        for good in ["203.0.113.10:5060", "[2001:db8::a]:5061", "127.0.0.1:5060"] {
            assert_eq!(service_address(good).unwrap().to_string(), good);
            assert_eq!(udp_service(&format!("udp:{good}")).unwrap().to_string(), good);
        }
        for bad in
            ["203.0.113.10", "sip.example.com:5060", "10.0.0.1:0", "0.0.0.0:5060", "2001:db8::a:5060", ""]
        {
            assert!(service_address(bad).is_err(), "{bad}");
        }
        assert!(udp_service("tcp:203.0.113.10:5060").is_err() && udp_service("203.0.113.10:5060").is_err());
        for good in ["asterisk.service", "pbx@tokyo.service", "a\\x2db.service", "user_1:x.service"] {
            assert_eq!(unit(good).unwrap(), good);
        }
        for bad in [
            "",
            "asterisk",
            "asterisk.socket",
            ".service",
            "pbx@.service",
            "-a.service",
            "a/b.service",
            "a b.service",
        ] {
            assert!(unit(bad).is_err(), "{bad}");
        }
        assert!(unit("asterisk").unwrap_err().remedy.contains("\"asterisk.service\""));
        assert!(dynamodb_table("standin").is_ok() && dynamodb_table("a.B_c-1").is_ok());
        assert!(dynamodb_table("ab").is_err() && dynamodb_table("arn:aws:dynamodb").is_err());
        assert_eq!(duration_or("never", "never").unwrap(), None);
        assert_eq!(duration_or("10m", "never").unwrap(), Some(Duration::from_mins(10)));
        assert!(duration_or("none", "never").is_err());
    }

    #[test]
    fn what_checks_ask() {
        for good in ["udp:127.0.0.1:5060", "tcp:[fd00::1]:5060"] {
            assert_eq!(sip(good).unwrap().to_string(), good);
        }
        for bad in ["127.0.0.1:5060", "tls:127.0.0.1:5061", "udp:sip.example.com:5060", "udp:10.0.0.1:0"] {
            assert!(sip(bad).is_err(), "{bad}");
        }
        let asked = |text: &str| http(text).map(|(server, path)| format!("{server} {path}"));
        assert_eq!(asked("http://127.0.0.1:8080/health?deep").unwrap(), "127.0.0.1:8080 /health?deep");
        assert_eq!(asked("http://[fd00::1]").unwrap(), "[fd00::1]:80 /");
        for bad in [
            "https://127.0.0.1/",
            "http://localhost/",
            "127.0.0.1:80",
            "http://u:p@127.0.0.1/",
            "ftp://127.0.0.1/",
            "http://127.0.0.1:0/",
            "",
        ] {
            assert!(http(bad).is_err(), "{bad}");
        }
        assert!(http("https://127.0.0.1/").unwrap_err().rule.contains("without TLS"));
        assert!(ping("10.0.1.1").is_ok() && ping("fd00::1").is_ok() && ping("10.0.1.1:7").is_err());
        assert_eq!(interface("02:1A:2B:3C:4D:5E").unwrap(), "02:1a:2b:3c:4d:5e");
        assert_eq!(interface("ens5").unwrap(), "ens5");
        for bad in ["", "a/b", "02:1a:2b:3c:4d", "a-name-that-is-too-long", "a b", ".."] {
            assert!(interface(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn regions() {
        for good in ["ap-northeast-1", "us-gov-west-1", "eu-central-2"] {
            assert!(region(good).is_ok(), "{good}");
        }
        for bad in ["tokyo", "ap-northeast-1a", "", "ap--1", "AP-northeast-1", "ap-1"] {
            assert!(region(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints() {
        for (good, address) in [
            ("http://127.0.0.1:4566", Some("127.0.0.1")),
            ("https://[fd00::5]:8443/", Some("fd00::5")),
            ("https://ec2.ap-northeast-1.amazonaws.com", None),
        ] {
            assert_eq!(endpoint(good).unwrap(), good);
            assert_eq!(endpoint_address(good).map(|it| it.to_string()).as_deref(), address);
        }
        for bad in ["127.0.0.1:4566", "ftp://host", "http://", "http://me:secret@host", "", "/path"] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }
}
