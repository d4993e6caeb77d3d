//! A network interface: there, up, and with carrier, as the kernel says over rtnetlink.

use futures_util::TryStreamExt as _;
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State};

use super::Outcome;

/// Looks at the interface of this name or link address.
pub(super) async fn look(wanted: &str) -> Outcome {
    let (connection, handle, _) = match rtnetlink::new_connection() {
        Ok(opened) => opened,
        Err(error) => return Outcome::Unknown(format!("netlink: {error}")),
    };
    let connection = tokio::spawn(connection);
    let links: Result<Vec<LinkMessage>, _> = handle.link().get().execute().try_collect().await;
    connection.abort();
    match links {
        Ok(links) => judge(&links, wanted),
        Err(error) => Outcome::Unknown(format!("netlink: {error}")),
    }
}

fn judge(links: &[LinkMessage], wanted: &str) -> Outcome {
    let named = links.iter().find(|it| name(it) == Some(wanted));
    // A VLAN or a macvlan on top of it may have the same address: hardware goes first, then what was there first.
    let addressed = links.iter().filter(|it| has_address(it, wanted));
    let link = named.or_else(|| addressed.min_by_key(|it| (is_virtual(it), it.header.index)));
    let Some(link) = link else {
        return Outcome::Failed(format!("there is no interface {wanted}"));
    };
    let name = name(link).unwrap_or(wanted);
    let flags = link.header.flags;
    let state = link
        .attributes
        .iter()
        .find_map(|it| if let LinkAttribute::OperState(state) = it { Some(*state) } else { None });
    if !flags.contains(LinkFlags::Up) {
        Outcome::Failed(format!("{name} is down"))
    } else if !flags.contains(LinkFlags::LowerUp) {
        Outcome::Failed(format!("{name} has no carrier"))
    } else {
        match state {
            // Loopback and tunnels do not say more (RFC 2863, 3.1.14; Linux, "operstates").
            Some(State::Up | State::Unknown) | None => Outcome::Ok,
            Some(other) => {
                let other = format!("{other:?}").to_lowercase();
                Outcome::Failed(format!("{name} is not up, but {other}"))
            }
        }
    }
}

fn name(link: &LinkMessage) -> Option<&str> {
    link.attributes
        .iter()
        .find_map(|it| if let LinkAttribute::IfName(name) = it { Some(name.as_str()) } else { None })
}

fn has_address(link: &LinkMessage, wanted: &str) -> bool {
    let text = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    link.attributes.iter().any(|it| matches!(it, LinkAttribute::Address(bytes) if text(bytes) == wanted))
}

fn is_virtual(link: &LinkMessage) -> bool {
    let has_kind = |them: &Vec<LinkInfo>| them.iter().any(|it| matches!(it, LinkInfo::Kind(_)));
    link.attributes.iter().any(|it| matches!(it, LinkAttribute::LinkInfo(them) if has_kind(them)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> LinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = flags;
        message.attributes = attributes;
        message
    }

    #[test]
    fn up_and_carrier_and_state_all_count() {
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        let named = |flags, state| {
            link(2, flags, vec![LinkAttribute::IfName("ens5".into()), LinkAttribute::OperState(state)])
        };
        let said = |flags, state| judge(&[named(flags, state)], "ens5");
        assert_eq!(said(up, State::Up), Outcome::Ok);
        assert_eq!(said(up, State::Unknown), Outcome::Ok);
        assert_eq!(said(LinkFlags::empty(), State::Down), Outcome::Failed("ens5 is down".into()));
        assert_eq!(said(LinkFlags::Up, State::Down), Outcome::Failed("ens5 has no carrier".into()));
        assert_eq!(said(up, State::Dormant), Outcome::Failed("ens5 is not up, but dormant".into()));
    }

    #[test]
    fn by_its_address_hardware_goes_before_what_is_on_top_of_it() {
        let address = LinkAttribute::Address(vec![2, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e]);
        let name = |name: &str| LinkAttribute::IfName(name.into());
        let vlan =
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(rtnetlink::packet_route::link::InfoKind::Vlan)]);
        let up = LinkFlags::Up | LinkFlags::LowerUp;
        let links = [
            link(2, up, vec![name("vlan7"), address.clone(), vlan]),
            link(3, LinkFlags::empty(), vec![name("ens5"), address]),
        ];
        assert_eq!(judge(&links, "02:1a:2b:3c:4d:5e"), Outcome::Failed("ens5 is down".into()));
        assert_eq!(judge(&links, "vlan7"), Outcome::Ok);
        let none = judge(&links, "02:00:00:00:00:01");
        assert_eq!(none, Outcome::Failed("there is no interface 02:00:00:00:00:01".into()));
    }
}
