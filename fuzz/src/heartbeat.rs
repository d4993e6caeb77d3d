//! Heartbeats, as they come in at the port.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standin::wire::{EncodeError, Keyring, Roster, VERSION, decode, encode};

const KEY: [u8; 32] = [0x42; 32];
const ID: u8 = 7;

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new(ID, &BTreeMap::from([(ID, KEY)])).expect("the key is there"));
static NODES: LazyLock<Vec<String>> = LazyLock::new(|| ["ivr-a", "ivr-b", "ivr-c"].map(String::from).into());
static GROUPS: LazyLock<Vec<String>> = LazyLock::new(|| ["ivr", "nat", "sbc"].map(String::from).into());

/// Any bytes at the port: refused or read, never a panic.
pub fn from_anyone(datagram: &[u8]) {
    let roster = Roster { cluster: "ivr-tokyo", nodes: &NODES, groups: &GROUPS };
    let _refused_or_read = decode(datagram, &roster, &KEYS);
}

/// Any bytes from a holder of the key: the input is the body, header and tag are put around it. What can
/// be read must come back when it is written and read again.
pub fn from_a_holder_of_the_key(body: &[u8]) {
    let roster = Roster { cluster: "ivr-tokyo", nodes: &NODES, groups: &GROUPS };
    let mut datagram = b"STBY".to_vec();
    datagram.extend([VERSION.major, VERSION.minor, ID]);
    datagram.extend(body);
    let mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("any length will do");
    let tag: [u8; 32] = mac.chain_update(&datagram).finalize().into_bytes().into();
    datagram.extend(tag);
    match decode(&datagram, &roster, &KEYS) {
        Err(refused) => assert!(refused.is_authenticated(), "{refused}"),
        Ok(heartbeat) => match encode(&heartbeat, &roster, &KEYS, &mut datagram) {
            Ok(()) => assert_eq!(decode(&datagram, &roster, &KEYS), Ok(heartbeat)),
            // Many fields of one byte each can be read that are longer when all are written.
            Err(EncodeError::TooLong { .. }) => {}
            Err(unnamed) => panic!("{unnamed}"),
        },
    }
}
