//! The body of a datagram into a heartbeat.

use std::time::Duration;

use minicbor::{Decoder, decode};

use crate::cluster::heartbeat::{Echo, Maintenance, Reply, Tally};
use crate::cluster::{
    GroupId, GroupReport, Heartbeat, LinkId, NodeId, NodeSet, Offer, Owner, Role, Session, WhyNot,
};

use super::key::{self, MAX_NODES};
use super::{DecodeError, Roster};

/// Reads the body.
pub(super) fn read(body: &[u8], roster: &Roster<'_>) -> Result<Heartbeat, DecodeError> {
    let mut input = Decoder::new(body);
    let parts = input.array()?.ok_or_else(|| malformed("the body has no length"))?;
    if parts < 3 {
        return Err(malformed("the body has less than three parts"));
    }
    let cluster = input.str()?;
    if cluster != roster.cluster {
        return Err(DecodeError::Cluster(cluster.to_owned()));
    }
    let names = Names::read(&mut input, roster)?;
    let heartbeat = read_heartbeat(&mut input, &names, roster)?;
    for _ in 3..parts {
        input.skip()?;
    }
    if input.position() < body.len() {
        return Err(malformed("bytes after the end"));
    }
    Ok(heartbeat)
}

/// The sender's list of nodes.
struct Names<'a> {
    /// The name, and this node's number for it, if it knows the name.
    nodes: Vec<(&'a str, Option<NodeId>)>,
}

impl<'a> Names<'a> {
    fn read(input: &mut Decoder<'a>, roster: &Roster<'_>) -> Result<Self, DecodeError> {
        let many = input.array()?.ok_or_else(|| malformed("the list of nodes has no length"))?;
        if many > MAX_NODES as u64 {
            return Err(malformed("more than 32 nodes"));
        }
        let mut nodes = Vec::new();
        for _ in 0..many {
            let name = input.str()?;
            let place = roster.nodes.iter().position(|mine| mine == name);
            nodes.push((name, place.and_then(|place| u8::try_from(place).ok()).map(NodeId)));
        }
        Ok(Self { nodes })
    }

    /// The node at a place of the sender's list. `Ok(Err(name))`: this node does not know it.
    fn at(&self, place: u64) -> Result<Result<NodeId, &'a str>, DecodeError> {
        let known = usize::try_from(place).ok().and_then(|place| self.nodes.get(place));
        let (name, id) = known.ok_or_else(|| malformed("a node that is not in the list of nodes"))?;
        Ok(id.ok_or(*name))
    }

    fn set(&self, bits: u32) -> NodeSet {
        let theirs = NodeSet(bits);
        let mut mine = NodeSet::default();
        for (place, (_, id)) in (0u8..).zip(&self.nodes) {
            if theirs.contains(NodeId(place))
                && let Some(id) = id
            {
                mine.insert(*id);
            }
        }
        mine
    }
}

/// What was read of a heartbeat so far.
#[derive(Default)]
struct Parts {
    from: Option<u64>,
    to: Option<u64>,
    link: Option<u8>,
    session: Option<u64>,
    sequence: Option<u64>,
    nonce: Option<u64>,
    echo: Option<Echo>,
    sent_us: Option<u64>,
    reply: Option<Reply>,
    ask: bool,
    goodbye: bool,
    back_in: Option<Duration>,
    farewell_seen: bool,
    hears: u32,
    config_hash: u64,
    instance: Option<String>,
    interfaces: Vec<String>,
    groups: Vec<GroupReport>,
}

fn read_heartbeat(
    input: &mut Decoder<'_>,
    names: &Names<'_>,
    roster: &Roster<'_>,
) -> Result<Heartbeat, DecodeError> {
    let mut it = Parts::default();
    each_field(input, |key, input| {
        match key {
            key::FROM => it.from = Some(input.u64()?),
            key::TO => it.to = Some(input.u64()?),
            key::LINK => it.link = Some(input.u8()?),
            key::SESSION => it.session = Some(input.u64()?),
            key::SEQUENCE => it.sequence = Some(input.u64()?),
            key::NONCE => it.nonce = Some(input.u64()?),
            key::ECHO => it.echo = Some(read_echo(input)?),
            key::SENT => it.sent_us = Some(input.u64()?),
            key::REPLY => it.reply = Some(read_reply(input)?),
            key::ASK => it.ask = input.bool()?,
            key::GOODBYE => it.goodbye = input.bool()?,
            key::BACK_IN => it.back_in = Some(Duration::from_millis(input.u64()?)),
            key::FAREWELL_SEEN => it.farewell_seen = input.bool()?,
            key::HEARS => it.hears = input.u32()?,
            key::CONFIG_HASH => it.config_hash = input.u64()?,
            key::INSTANCE => it.instance = Some(input.str()?.to_owned()),
            key::INTERFACES => {
                each_item(input, |input| {
                    it.interfaces.push(input.str()?.to_owned());
                    Ok(())
                })?;
            }
            key::GROUPS => each_item(input, |input| {
                it.groups.extend(read_group(input, names, roster)?);
                Ok(())
            })?,
            _ => input.skip()?,
        }
        Ok(())
    })?;
    let sender = names.at(required(it.from, "from")?)?;
    let receiver = names.at(required(it.to, "to")?)?;
    Ok(Heartbeat {
        from: sender.map_err(|name| DecodeError::UnknownSender(name.to_owned()))?,
        to: receiver.map_err(|name| DecodeError::UnknownReceiver(name.to_owned()))?,
        link: LinkId(required(it.link, "link")?),
        session: Session(required(it.session, "session")?),
        sequence: required(it.sequence, "sequence")?,
        nonce: required(it.nonce, "nonce")?,
        echo: it.echo,
        sent_us: required(it.sent_us, "sent")?,
        reply: it.reply,
        ask: it.ask,
        goodbye: it.goodbye,
        back_in: it.back_in,
        farewell_seen: it.farewell_seen,
        hears: names.set(it.hears),
        config_hash: it.config_hash,
        instance: it.instance,
        interfaces: it.interfaces,
        groups: it.groups,
    })
}

fn read_echo(input: &mut Decoder<'_>) -> Result<Echo, DecodeError> {
    let (mut session, mut nonce) = (None, None);
    each_field(input, |key, input| {
        match key {
            key::echo::SESSION => session = Some(input.u64()?),
            key::echo::NONCE => nonce = Some(input.u64()?),
            _ => input.skip()?,
        }
        Ok(())
    })?;
    Ok(Echo { session: Session(required(session, "echo.session")?), nonce: required(nonce, "echo.nonce")? })
}

fn read_reply(input: &mut Decoder<'_>) -> Result<Reply, DecodeError> {
    let (mut sent, mut held) = (None, None);
    each_field(input, |key, input| {
        match key {
            key::reply::SENT => sent = Some(input.u64()?),
            key::reply::HELD => held = Some(input.u64()?),
            _ => input.skip()?,
        }
        Ok(())
    })?;
    Ok(Reply { sent_us: required(sent, "reply.sent")?, held_us: required(held, "reply.held")? })
}

/// `None`: about a group that this node does not have, or with a role that this version does not know.
fn read_group(
    input: &mut Decoder<'_>,
    names: &Names<'_>,
    roster: &Roster<'_>,
) -> Result<Option<GroupReport>, DecodeError> {
    let (mut name, mut said_role, mut said_owner, mut holder) = (None, key::role::STANDBY, None, None);
    let mut it = GroupReport {
        group: GroupId(0),
        role: Role::Standby,
        term: 0,
        eligible: false,
        why_not: None,
        fit: true,
        owner: None,
        fail_count: 0,
        maintenance: Maintenance::default(),
        offer: None,
        ready: None,
        tally: Tally::default(),
    };
    each_field(input, |key, input| {
        match key {
            key::group::NAME => name = Some(input.str()?),
            key::group::ROLE => said_role = input.u64()?,
            key::group::TERM => it.term = input.u64()?,
            key::group::ELIGIBLE => it.eligible = input.bool()?,
            key::group::WHY_NOT => {
                let number = input.u64()?;
                // A later version may have reasons that this one has no words for.
                it.why_not = WhyNot::ALL.into_iter().find(|why| *why as u64 == number);
            }
            key::group::BARRED => it.fit = !input.bool()?,
            key::group::OWNER => said_owner = Some(input.u64()?),
            key::group::HOLDER => holder = Some(input.u64()?),
            key::group::FAIL_COUNT => it.fail_count = input.u32()?,
            key::group::MAINTENANCE => it.maintenance = read_maintenance(input)?,
            key::group::OFFER => it.offer = read_offer(input, names)?,
            key::group::READY => it.ready = Some(input.u64()?),
            key::group::CALLS => it.tally.calls = Some(input.u16()?),
            key::group::UNREGISTERED => it.tally.unregistered = Some(input.u8()?),
            _ => input.skip()?,
        }
        Ok(())
    })?;
    it.owner = match said_owner {
        Some(key::owner::MINE) => Some(Owner::Mine),
        // A holder that this node cannot name is no answer that it could act on.
        Some(key::owner::THEIRS) => names.at(required(holder, "group.holder")?)?.ok().map(Owner::Theirs),
        Some(key::owner::NOBODY) => Some(Owner::Nobody),
        Some(key::owner::ORPHANED) => Some(Owner::Orphaned),
        Some(key::owner::STRANGER) => Some(Owner::Stranger),
        Some(_) | None => None,
    };
    it.role = match said_role {
        key::role::STANDBY => Role::Standby,
        key::role::ACTIVE => Role::Active,
        _ => return Ok(None),
    };
    let name = required(name, "group.name")?;
    let place = roster.groups.iter().position(|mine| mine == name);
    Ok(place
        .and_then(|place| u8::try_from(place).ok())
        .map(|place| GroupReport { group: GroupId(place), ..it }))
}

fn read_maintenance(input: &mut Decoder<'_>) -> Result<Maintenance, DecodeError> {
    let mut it = Maintenance::default();
    each_field(input, |key, input| {
        match key {
            key::maintenance::VERSION => it.version = input.u64()?,
            key::maintenance::ON => it.on = input.bool()?,
            _ => input.skip()?,
        }
        Ok(())
    })?;
    Ok(it)
}

/// `None`: an offer to a node that this node cannot name. It must not be taken for an offer to all.
fn read_offer(input: &mut Decoder<'_>, names: &Names<'_>) -> Result<Option<Offer>, DecodeError> {
    let (mut id, mut term, mut to, mut ttl, mut stopped) = (None, None, None, None, false);
    each_field(input, |key, input| {
        match key {
            key::offer::ID => id = Some(input.u64()?),
            key::offer::TERM => term = Some(input.u64()?),
            key::offer::TO => to = Some(input.u64()?),
            key::offer::TTL => ttl = Some(Duration::from_millis(input.u64()?)),
            key::offer::STOPPED => stopped = input.bool()?,
            _ => input.skip()?,
        }
        Ok(())
    })?;
    let to = match to.map(|place| names.at(place)).transpose()? {
        None => None,
        Some(Ok(node)) => Some(node),
        Some(Err(_)) => return Ok(None),
    };
    let (id, term) = (required(id, "offer.id")?, required(term, "offer.term")?);
    Ok(Some(Offer { id, term, to, ttl: required(ttl, "offer.ttl")?, stopped }))
}

/// Calls `field` with each key of a map; it must consume the value.
fn each_field<'a>(
    input: &mut Decoder<'a>,
    mut field: impl FnMut(u64, &mut Decoder<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut left = input.map()?;
    while more(input, &mut left)? {
        let key = input.u64()?;
        field(key, input)?;
    }
    Ok(())
}

/// Calls `item` for each item of an array; it must consume it.
fn each_item<'a>(
    input: &mut Decoder<'a>,
    mut item: impl FnMut(&mut Decoder<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut left = input.array()?;
    while more(input, &mut left)? {
        item(input)?;
    }
    Ok(())
}

/// Whether a map or array goes on; `left` is `None` if its end is open.
fn more(input: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, DecodeError> {
    match left {
        Some(0) => Ok(false),
        Some(many) => {
            *many -= 1;
            Ok(true)
        }
        None if input.datatype()? == minicbor::data::Type::Break => {
            input.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::Malformed(format!("{field} is missing")))
}

fn malformed(why: &str) -> DecodeError {
    DecodeError::Malformed(why.to_owned())
}

impl From<decode::Error> for DecodeError {
    fn from(error: decode::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}
