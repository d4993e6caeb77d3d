//! Recordings: what the core was told and what it decided, as JSON lines in a ring of two files, so that an
//! incident can be explained, and replayed through the core of any later version.
//!
//! A file is a sequence of segments. Each begins with a [`Header`], which holds the whole core as it was at
//! that moment, so that a replay can begin with any segment, although the one before it is overwritten. After a
//! loss of lines (a flood, a slow or full disk) the next segment begins.

mod calls;
pub mod decisions;
mod line;
pub mod read;
pub mod replay;
mod restore;
pub mod ring;

pub use decisions::{Decision, Decisions, Difference, What};
pub use line::{Beat, Header, Line, Names, Told, Why};
pub use read::{End, ReadError, Recording, Segment};
pub use replay::{Replay, Replayed};
pub use ring::Ring;

/// The format that this version writes and reads. It grows when an older reader would misunderstand a file.
pub const FORMAT: u32 = 1;

#[cfg(test)]
mod tests;
