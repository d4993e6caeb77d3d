//! What moves: Elastic IPs, secondary private addresses, routes, and the guest's own address. Works over
//! [`Cloud`](crate::cloud::Cloud) and knows no SDK.
//!
//! - [`Here`]: what this node is in EC2; [`Roster`]: which interface belongs to which node.
//! - [`anchor`]: who holds the anchor, and taking it in one atomic call.
//! - [`rest`]: everything else, at the same time, by the anchor's holder only.
//! - [`piece`]: the smallest thing that is taken by itself: one Elastic IP, one address, one route.
//! - [`guest`]: the address on the guest's interface, and what leaves from it.

pub mod anchor;
pub mod guest;
pub mod here;
pub mod piece;
pub mod rest;
pub mod roster;

pub use anchor::{
    TakeFrom, counter_key, counter_target, counter_value, observe_anchor, take_anchor, write_counter,
    write_own_tag,
};
pub use here::Here;
pub use piece::{Held, Piece};
pub use rest::{Ending, Outcome, Run, acquire_pieces, acquire_rest, observe};
pub use roster::Roster;

#[cfg(test)]
mod fake;
