//! Who may speak: HMAC-SHA-256 (RFC 2104, FIPS 180-4) under one of a few shared keys.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::TAG;

/// The cluster's keys: one signs, all are accepted, so that a key can be changed while the cluster runs
/// (first every node accepts the new one, then every node signs with it, then the old one goes).
#[derive(Clone)]
pub struct Keyring {
    signing: u8,
    signer: Hmac<Sha256>,
    /// Each key, already mixed into the hash: a datagram then costs two compressions less.
    accepted: BTreeMap<u8, Hmac<Sha256>>,
}

/// The id of the signing key is not among the keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoSuchKey(pub u8);

impl Keyring {
    /// The keys by their ids, and the id of the one that signs.
    ///
    /// # Errors
    /// There is no key with the id `signing`.
    pub fn new(signing: u8, keys: &BTreeMap<u8, [u8; 32]>) -> Result<Self, NoSuchKey> {
        let accepted: BTreeMap<u8, Hmac<Sha256>> = keys.iter().map(|(id, key)| (*id, keyed(key))).collect();
        let signer = accepted.get(&signing).ok_or(NoSuchKey(signing))?.clone();
        Ok(Self { signing, signer, accepted })
    }

    /// The id of the key that signs.
    pub fn signing(&self) -> u8 {
        self.signing
    }

    /// Whether there is a key with this id.
    pub(super) fn knows(&self, id: u8) -> bool {
        self.accepted.contains_key(&id)
    }

    /// The tag of these bytes under the signing key.
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; TAG] {
        self.signer.clone().chain_update(bytes).finalize().into_bytes().into()
    }

    /// Whether `tag` is the tag of these bytes under this key. Takes as long for a tag that is nearly right
    /// as for one that is all wrong, so that nobody can find a tag byte by byte.
    pub(super) fn verify(&self, id: u8, bytes: &[u8], tag: &[u8; TAG]) -> bool {
        self.accepted.get(&id).is_some_and(|key| key.clone().chain_update(bytes).verify(tag.into()).is_ok())
    }
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // HMAC is defined for keys of any length.
    Hmac::new_from_slice(key).expect("a key of 32 bytes is shorter than a block of SHA-256")
}

/// Shows the ids only.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("signing", &self.signing)
            .field("accepted", &self.accepted.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NoSuchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} is to sign, and is not among the keys", self.0)
    }
}

impl std::error::Error for NoSuchKey {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(signing: u8, keys: &[(u8, u8)]) -> Keyring {
        Keyring::new(signing, &keys.iter().map(|(id, byte)| (*id, [*byte; 32])).collect()).unwrap()
    }

    #[test]
    fn tag_is_the_standard_one() {
        // RFC 4231, test case 1 has a key of 20 bytes; HMAC pads keys with zeros, so this is the same key.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let keys = Keyring::new(0, &BTreeMap::from([(0, key)])).unwrap();
        let expected = [
            0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce, 0xaf, 0x0b, 0xf1, 0x2b,
            0x88, 0x1d, 0xc2, 0x00, 0xc9, 0x83, 0x3d, 0xa7, 0x26, 0xe9, 0x37, 0x6c, 0x2e, 0x32, 0xcf, 0xf7,
        ];
        assert_eq!(keys.sign(b"Hi There"), expected);
        assert!(keys.verify(0, b"Hi There", &expected));
        assert!(!keys.verify(0, b"Hi there", &expected));
        assert!(!keys.verify(1, b"Hi There", &expected));
    }

    #[test]
    fn key_change_passes_through_both_accepted() {
        let old = ring(1, &[(1, 0xaa)]);
        let both = ring(1, &[(1, 0xaa), (2, 0xbb)]);
        let moved = ring(2, &[(1, 0xaa), (2, 0xbb)]);
        let new = ring(2, &[(2, 0xbb)]);
        for (sender, receiver, heard) in [
            (&old, &both, true),
            (&both, &moved, true),
            (&moved, &both, true),
            (&moved, &new, true),
            (&old, &new, false),
        ] {
            let tag = sender.sign(b"x");
            assert_eq!(receiver.verify(sender.signing(), b"x", &tag), heard);
        }
    }

    #[test]
    fn signing_key_must_exist() {
        assert_eq!(Keyring::new(3, &BTreeMap::from([(1, [0; 32])])).unwrap_err(), NoSuchKey(3));
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", ring(1, &[(1, 0xaa), (2, 0xbb)]));
        assert_eq!(shown, "Keyring { signing: 1, accepted: [1, 2], .. }");
    }
}
