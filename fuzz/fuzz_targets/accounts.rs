//! Arbitrary bytes as /etc/passwd and /etc/group, and as what stands after --user.
#![no_main]

use izba_sandbox::account::{Accounts, UserSpec};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8], &[u8])| {
    let (spec, passwd, group) = input;
    let Ok(spec) = spec.parse::<UserSpec>() else { return };
    let accounts = Accounts::new(passwd.to_vec(), group.to_vec());
    if let Ok(account) = accounts.find(&spec) {
        // (uid_t)-1 means "unchanged" to setresuid(2).
        assert!(account.ids.uid != u32::MAX && account.ids.gid != u32::MAX);
        assert!(!account.ids.groups.contains(&u32::MAX));
    }
});
