//! The guest's own address: EC2 delivers packets for a secondary private address to the interface, and the
//! kernel takes them only if it has the address too. DHCP does not bring it, and programs that look after
//! secondary addresses (amazon-ec2-net-utils, cloud-netconfig) may take it away: it is put back. So is what makes
//! packets leave from it ([`source`]).

pub mod source;

use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{Stream, TryStreamExt};
use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One address that alone decides nothing about routing: no route to a subnet comes with it.
const PREFIX: u8 = 32;
/// What the kernel has not said (a lost notification) is found out so soon.
const RECHECK: Duration = Duration::from_secs(10);

/// Linux's errno values, as netlink answers them.
const EPERM: i32 = 1;
const EEXIST: i32 = 17;
const EADDRNOTAVAIL: i32 = 99;

/// An address, and the interface that it belongs on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GuestAddress {
    /// The MAC address of the network interface in EC2, lower case with colons.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// Things that this node has an opinion about: `true` there, `false` not there. Anything else is left alone.
pub type Wanted<T = GuestAddress> = Vec<(T, bool)>;

/// What can be there or not on the guest, and is kept so.
pub trait Kept: Clone + Eq + Send + Sync {
    /// Whose messages tell of changes.
    const GROUPS: &'static [MulticastGroup];
    /// What comes within this time after such a message is looked at together with it.
    const PAUSE: Duration;

    /// Whether it may have been changed.
    fn concerns(message: &RouteNetlinkMessage) -> bool;

    /// Brings it about; answers whether something had to be changed.
    fn converge(&self, guest: &Guest, want: bool) -> impl Future<Output = Result<bool, GuestError>> + Send;
}

/// What [`keep`] has done, or could not do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GuestEvent<T = GuestAddress> {
    /// It was added.
    Added(T),
    /// It had been there and was gone: another program took it, and it was put back.
    PutBack(T),
    /// It was removed.
    Removed(T),
    /// It could not be brought about; told once until it changes, tried again every ten seconds.
    Failed(T, GuestError),
}

/// Why an address could not be seen, added or removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GuestError {
    /// No interface has this MAC address.
    NoInterface(String),
    /// The process may not.
    NotPermitted,
    /// The interface lacks an address that packets are to leave from.
    NotThere(Ipv4Addr),
    /// No subnet of the interface contains it.
    NoSubnet(Ipv4Addr),
    /// The kernel's own words.
    Netlink(String),
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoInterface(mac) => write!(
                f,
                "no interface of this machine has the MAC address {mac}, which EC2 gives for the network \
                 interface that holds the address; attach it, or bring its driver up"
            ),
            Self::NotPermitted => f.write_str(
                "changing addresses and routes needs CAP_NET_ADMIN; run as root, or with \
                 AmbientCapabilities=CAP_NET_ADMIN in the unit, or set `guest = false` and no `source-ports`",
            ),
            Self::NotThere(address) => write!(
                f,
                "packets cannot leave from {address}: the guest's interface does not have it; add it to the \
                 interface's configuration, or let the agent set it up (`guest = true`)"
            ),
            Self::NoSubnet(address) => write!(
                f,
                "no subnet of the guest's interface contains {address}, so there is no route for what leaves \
                 from it"
            ),
            Self::Netlink(message) => write!(f, "netlink: {message}"),
        }
    }
}

impl std::error::Error for GuestError {}

/// Brings the guest to what is wanted, and keeps it so: it converges on the latest value, puts back what
/// another program removes, and tells what it did. Ends when the sender of `wanted` is gone.
///
/// # Errors
/// [`GuestError::Netlink`] if netlink itself cannot be used.
pub async fn keep<T: Kept>(
    mut wanted: watch::Receiver<Wanted<T>>,
    mut tell: impl FnMut(GuestEvent<T>),
) -> Result<(), GuestError> {
    let guest = Guest::open()?;
    let mut watch = Watch::open(T::GROUPS, T::concerns)?;
    let mut past: Vec<(T, Result<bool, GuestError>)> = Vec::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let mut present = Vec::with_capacity(now.len());
        for (thing, want) in now {
            let before = past.iter().find(|(it, _)| *it == thing).map(|(_, result)| result);
            let result = thing.converge(&guest, want).await;
            match (&result, before) {
                (Ok(true), Some(Ok(was))) if want && *was => tell(GuestEvent::PutBack(thing.clone())),
                // What failed before is well again, by whomever.
                (Ok(true), _) | (Ok(false), Some(Err(_))) if want => tell(GuestEvent::Added(thing.clone())),
                (Ok(true), _) | (Ok(false), Some(Err(_))) => tell(GuestEvent::Removed(thing.clone())),
                (Ok(false), _) => {}
                (Err(error), Some(Err(told))) if error == told => {}
                (Err(error), _) => tell(GuestEvent::Failed(thing.clone(), error.clone())),
            }
            present.push((thing, result.map(|_changed| want)));
        }
        past = present;
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return Ok(()) },
            () = watch.changed() => tokio::time::sleep(T::PAUSE).await,
            () = tokio::time::sleep(RECHECK) => {}
        }
    }
}

/// The guest's addresses, over rtnetlink, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Guest {
    handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Guest {
    /// Opens a netlink socket. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`GuestError::Netlink`].
    pub fn open() -> Result<Self, GuestError> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|it| GuestError::Netlink(it.to_string()))?;
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// Whether the interface has the address, with whatever prefix.
    ///
    /// # Errors
    /// [`GuestError::NoInterface`], [`GuestError::Netlink`].
    pub async fn present(&self, wanted: &GuestAddress) -> Result<bool, GuestError> {
        let index = self.index(&wanted.mac).await?;
        Ok(!self.found(index, wanted.address).await?.is_empty())
    }

    /// Adds the address; there already is as good.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn add(&self, wanted: &GuestAddress) -> Result<(), GuestError> {
        self.converge(wanted, true).await.map(drop)
    }

    /// Removes the address; not there is as good.
    ///
    /// # Errors
    /// [`GuestError`].
    pub async fn remove(&self, wanted: &GuestAddress) -> Result<(), GuestError> {
        self.converge(wanted, false).await.map(drop)
    }

    /// Adds or removes the address, with whatever prefix; answers whether something had to be changed.
    async fn converge(&self, wanted: &GuestAddress, want: bool) -> Result<bool, GuestError> {
        let index = self.index(&wanted.mac).await?;
        let found = self.found(index, wanted.address).await?;
        if want != found.is_empty() {
            return Ok(false);
        }
        if want {
            let request = self.handle.address().add(index, wanted.address.into(), PREFIX);
            unless(request.execute().await, EEXIST)?;
        }
        for message in found {
            unless(self.handle.address().del(message).execute().await, EADDRNOTAVAIL)?;
        }
        Ok(true)
    }

    async fn found(&self, index: u32, address: Ipv4Addr) -> Result<Vec<AddressMessage>, GuestError> {
        let request = self.handle.address().get().set_link_index_filter(index);
        let all: Vec<AddressMessage> = request.execute().try_collect().await.map_err(told)?;
        let local = AddressAttribute::Local(IpAddr::V4(address));
        Ok(all.into_iter().filter(|it| it.attributes.contains(&local)).collect())
    }

    /// The interface with this MAC address. A VLAN, bridge or macvlan on top of it may have the same one:
    /// hardware goes first, then whatever was there first.
    async fn index(&self, mac: &str) -> Result<u32, GuestError> {
        let links: Vec<LinkMessage> = self.handle.link().get().execute().try_collect().await.map_err(told)?;
        let same = links.iter().filter(|it| has_mac(it, mac));
        let first = same.min_by_key(|it| (is_virtual(it), it.header.index));
        first.map(|it| it.header.index).ok_or_else(|| GuestError::NoInterface(mac.to_owned()))
    }
}

impl Kept for GuestAddress {
    const GROUPS: &'static [MulticastGroup] = &[MulticastGroup::Ipv4Ifaddr];
    const PAUSE: Duration = Duration::ZERO;

    fn concerns(message: &RouteNetlinkMessage) -> bool {
        matches!(message, RouteNetlinkMessage::DelAddress(_))
    }

    async fn converge(&self, guest: &Guest, want: bool) -> Result<bool, GuestError> {
        guest.converge(self, want).await
    }
}

/// Notices when something of the guest may have been changed.
struct Watch {
    messages: Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send>>,
    connection: JoinHandle<()>,
    concerns: fn(&RouteNetlinkMessage) -> bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Watch {
    /// Listens to these groups of the kernel's, for messages of concern. Needs a tokio runtime, no privilege.
    fn open(
        groups: &[MulticastGroup],
        concerns: fn(&RouteNetlinkMessage) -> bool,
    ) -> Result<Self, GuestError> {
        let (connection, _, messages) =
            rtnetlink::new_multicast_connection(groups).map_err(|it| GuestError::Netlink(it.to_string()))?;
        Ok(Self { messages: Box::pin(messages), connection: tokio::spawn(connection), concerns })
    }

    /// Ends when there is such a message, or when messages were lost. Cancel safe. If the kernel's side has
    /// gone it never ends: whoever waits has a clock too.
    async fn changed(&mut self) {
        let mut next = async || poll_fn(|context| self.messages.as_mut().poll_next(context)).await;
        loop {
            match next().await.map(|(message, _)| message.payload) {
                Some(NetlinkPayload::InnerMessage(it)) if (self.concerns)(&it) => return,
                Some(NetlinkPayload::Overrun(_)) => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

fn has_mac(link: &LinkMessage, mac: &str) -> bool {
    link.attributes.iter().any(|it| matches!(it, LinkAttribute::Address(bytes) if written(bytes) == mac))
}

fn is_virtual(link: &LinkMessage) -> bool {
    let has_kind = |them: &Vec<LinkInfo>| them.iter().any(|it| matches!(it, LinkInfo::Kind(_)));
    link.attributes.iter().any(|it| matches!(it, LinkAttribute::LinkInfo(them) if has_kind(them)))
}

fn written(mac: &[u8]) -> String {
    mac.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

/// A result in which this errno is as good as success.
fn unless(result: Result<(), rtnetlink::Error>, errno: i32) -> Result<(), GuestError> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code().abs() == errno => Ok(()),
        other => other.map_err(told),
    }
}

fn told(error: rtnetlink::Error) -> GuestError {
    if let rtnetlink::Error::NetlinkError(message) = &error
        && message.raw_code().abs() == EPERM
    {
        return GuestError::NotPermitted;
    }
    GuestError::Netlink(error.to_string())
}

#[cfg(test)]
mod tests;
