//! Any bytes at the port: refused or read, never a panic.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use standin::wire::{Keyring, Roster, decode};

static KEYS: LazyLock<Keyring> =
    LazyLock::new(|| Keyring::new(7, &BTreeMap::from([(7, [0x42; 32])])).expect("key 7 is there"));
static NODES: LazyLock<Vec<String>> = LazyLock::new(|| ["ivr-a", "ivr-b", "ivr-c"].map(String::from).into());
static GROUPS: LazyLock<Vec<String>> = LazyLock::new(|| ["ivr", "nat", "sbc"].map(String::from).into());

fuzz_target!(|datagram: &[u8]| {
    let roster = Roster { cluster: "ivr-tokyo", nodes: &NODES, groups: &GROUPS };
    let _refused_or_read = decode(datagram, &roster, &KEYS);
});
