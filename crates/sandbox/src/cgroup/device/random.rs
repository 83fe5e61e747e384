//! Rules for tests, the same in each run, of so few numbers that all devices that matter can be tried.

use super::{ALL, NODE_KINDS, NodeKind, access};
use crate::cgroup::limits::{DeviceAccess, DeviceKind, DeviceRule};

/// xorshift64*: Vigna 2016.
pub struct Random(u64);

impl Random {
    fn below(&mut self, bound: u8) -> u8 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let [.., byte] = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes();
        byte % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.below(choices.len().try_into().unwrap()))]
    }

    /// Any, 1, 2, or the largest.
    fn number(&mut self) -> Option<u32> {
        self.one_of(&[None, None, Some(1), Some(2), Some(u32::MAX)])
    }

    fn rule(&mut self) -> DeviceRule {
        DeviceRule {
            allow: self.below(3) != 0,
            kind: self.one_of(&[DeviceKind::All, DeviceKind::Block, DeviceKind::Char, DeviceKind::Char]),
            major: self.number(),
            minor: self.number(),
            access: access(self.one_of(&[0, 1, 2, 3, 4, 5, 6, ALL, ALL, ALL, ALL, ALL])),
        }
    }
}

/// So many lists, of up to eight rules.
pub fn lists(count: u64) -> impl Iterator<Item = Vec<DeviceRule>> {
    (1..=count).map(|seed| {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        (0..random.below(9)).map(|_| random.rule()).collect()
    })
}

/// What rules may name, and 3, which stands for all that they don't.
pub const NUMBERS: [u32; 4] = [1, 2, 3, u32::MAX];

/// Every device with numbers that the rules may name and one that they don't, in every way.
pub fn uses() -> impl Iterator<Item = ((NodeKind, u32, u32), DeviceAccess)> {
    let devices = NODE_KINDS
        .into_iter()
        .flat_map(move |kind| NUMBERS.into_iter().flat_map(move |major| NUMBERS.map(|minor| (kind, major, minor))));
    devices.flat_map(|device| (1..=ALL).map(move |bits| (device, access(bits))))
}
