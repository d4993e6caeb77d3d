//! SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same on every platform. For sessions, nonces
//! and jitter; keys come from the operating system.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A stream of numbers that follows from its seed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Random(u64);

impl Random {
    /// The stream of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next() % bound }
    }

    /// A wait with jitter: from half of so many milliseconds to all of them.
    pub const fn wait(&mut self, longest: u64) -> Duration {
        Duration::from_millis(longest / 2 + self.below(longest / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        // From the reference implementation.
        for number in [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ] {
            assert_eq!(random.next(), number);
        }
    }

    #[test]
    fn below_a_bound_is_each_number_below_it() {
        let mut random = Random::new(1);
        let mut all = |bound| -> Vec<u64> {
            let all: std::collections::BTreeSet<u64> = (0..100).map(|_| random.below(bound)).collect();
            all.into_iter().collect()
        };
        assert_eq!((all(0), all(1), all(3)), (vec![0], vec![0], vec![0, 1, 2]));
    }

    #[test]
    fn a_wait_is_from_half_to_all_of_it() {
        let mut random = Random::new(1);
        let mut all = |longest| -> Vec<u128> {
            let all: std::collections::BTreeSet<u128> =
                (0..100).map(|_| random.wait(longest).as_millis()).collect();
            all.into_iter().collect()
        };
        assert_eq!((all(0), all(1), all(6)), (vec![0], vec![0], vec![3, 4, 5, 6]));
    }
}
