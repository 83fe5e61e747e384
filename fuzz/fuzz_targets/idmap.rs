//! Arbitrary text as /etc/subuid and as ranges of ids: a map that is accepted never maps one id twice.
#![no_main]

use izba_sandbox::idmap::{IdMap, IdRange, full_map, subordinate_ranges};
use libfuzzer_sys::fuzz_target;

fn is_sound(map: &IdMap) -> bool {
    let ends = |start: fn(&IdRange) -> u32| {
        let mut ranges: Vec<(u64, u64)> =
            map.ranges().iter().map(|range| (u64::from(start(range)), u64::from(range.count))).collect();
        ranges.sort_unstable();
        ranges.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0)
    };
    ends(|range| range.inside) && ends(|range| range.outside)
}

fuzz_target!(|input: (&str, &str, u32)| {
    let (subuid, ranges, own) = input;
    let subordinate = subordinate_ranges(subuid, "ann", 1000);
    if let Ok(map) = full_map(0, own, &subordinate) {
        assert!(is_sound(&map));
    }
    let parsed: Result<Vec<IdRange>, _> = ranges.split(' ').map(str::parse).collect();
    if let Ok(map) = parsed.and_then(IdMap::new) {
        assert!(is_sound(&map));
    }
});
