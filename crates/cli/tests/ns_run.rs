//! `izba ns run` beside unshare(1): the same options, the same program, the same to be seen from inside.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;
mod target;

use std::fs;

use support::{Ended, Ground, User, run};
use target::{KINDS, peer};

/// What a program sees of itself: namespaces, ids, rights, and what it has inherited.
const SEEN: &str = "for kind in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$kind; done; id; pwd; umask; hostname; \
    cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups /proc/self/timens_offsets; \
    grep -E '^(Cap|NoNewPrivs|Seccomp|Groups|SigBlk|SigIgn|Umask)' /proc/self/status; env | grep -v ^_= | sort; ulimit -a; \
    cat /proc/self/oom_score_adj";

/// `izba ns run OPTIONS sh -c SCRIPT`
fn izba(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    run(ground.izba(user).args(["ns", "run"]).args(options).args(["--", "sh", "-c", script]))
}

/// `unshare OPTIONS sh -c SCRIPT` in the same environment.
fn unshare(ground: &Ground, user: User, options: &[&str], script: &str) -> Ended {
    run(peer(ground, user, "/usr/bin/unshare").args(options).args(["--fork", "--kill-child", "sh", "-c", script]))
}

/// Numbers of new namespaces differ each time; that they aren't ours is what counts.
fn without_numbers(text: &str) -> String {
    let own = KINDS.map(|(kind, _)| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string());
    let line = |line: &str| match line.split_once(":[") {
        Some((kind, _)) if !own.iter().any(|own| own == line) => format!("{kind}: new"),
        _ => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn same(ground: &Ground, user: User, options: &[&str], script: &str) -> String {
    same_as(ground, user, options, options, script)
}

/// What both show, with options of ours and of unshare's.
#[track_caller]
fn same_as(ground: &Ground, user: User, ours: &[&str], theirs: &[&str], script: &str) -> String {
    let (one, other) = (izba(ground, user, ours, script), unshare(ground, user, theirs, script));
    assert_eq!(one.stderr, "", "{user:?} {ours:?}");
    let shown = without_numbers(one.text());
    assert_eq!(shown, without_numbers(other.text()), "{user:?} {ours:?}");
    shown
}

/// Which kinds are new in what [`SEEN`] shows.
fn new_kinds(shown: &str) -> Vec<&str> {
    shown.lines().filter_map(|line| line.strip_suffix(": new")).collect()
}

/// What this user has to ask for besides.
fn rights(user: User) -> &'static [&'static str] {
    if user == User::Root { &[] } else { &["-U", "-r"] }
}

/// unshare(1) gives setgroups(2) up with `-r`, also where root needn't.
fn as_root(user: User) -> &'static [&'static str] {
    if user == User::Root { &["-r", "--setgroups", "deny"] } else { &["-r"] }
}

#[test]
fn each_kind_alone() {
    let ground = Ground::new();
    for user in User::ALL {
        for (kind, letter) in KINDS.into_iter().filter(|&(kind, _)| kind != "user") {
            let options = [&[letter], rights(user)].concat();
            let shown = same(&ground, user, &options, SEEN);
            let expected = if user == User::Root { vec![kind] } else { vec!["user", kind] };
            assert_eq!(new_kinds(&shown), expected, "{user:?}");
        }
    }
}

#[test]
fn a_user_namespace_alone_without_and_with_maps() {
    let ground = Ground::new();
    for user in User::ALL {
        let deny: &[&str] = if user == User::Root { &["--setgroups", "deny"] } else { &[] };
        for options in [&["-U", "-r"][..], &["-r"], &["-U", "-c"], &["-c"]] {
            let shown = same_as(&ground, user, &[options, deny].concat(), options, SEEN);
            assert_eq!(new_kinds(&shown), ["user"], "{user:?} {options:?}");
        }
        assert_eq!(new_kinds(&same(&ground, user, &["-U"], SEEN)), ["user"], "{user:?}");
    }
}

#[test]
fn all_kinds_at_once() {
    let ground = Ground::new();
    let letters = KINDS.map(|(_, letter)| letter);
    for user in User::ALL {
        let options = [&letters[..], &["-r"]].concat();
        let ours = [&letters[..], as_root(user)].concat();
        let shown = same_as(&ground, user, &ours, &options, &format!("{SEEN}; echo process $$"));
        assert_eq!(new_kinds(&shown), KINDS.map(|(kind, _)| kind), "{user:?}");
        assert!(shown.ends_with("process 1"), "{shown}");
        same_as(&ground, user, &[&["-a"], as_root(user)].concat(), &options, SEEN);
        same_as(&ground, user, &[&["--all", "--map-root"], &as_root(user)[1..]].concat(), &options, SEEN);
    }
    // Root may do without maps, and then is nobody.
    same(&ground, User::Root, &letters, SEEN);
    same(&ground, User::Root, &letters[1..], SEEN);
}

#[test]
fn the_long_names() {
    let ground = Ground::new();
    let names = ["--user", "--mount", "--pid", "--net", "--ipc", "--uts", "--cgroup", "--time"];
    let shown =
        same_as(&ground, User::Ranges, &[&names[..], &["--map-root"]].concat(), &[&names[..], &["-r"]].concat(), SEEN);
    assert_eq!(new_kinds(&shown), KINDS.map(|(kind, _)| kind));
}

#[test]
fn a_kind_is_implied_by_what_means_nothing_without_it() {
    let ground = Ground::new();
    let cases = [
        (&["--mount-proc"][..], "mnt"),
        (&["--hostname", "box"], "uts"),
        (&["--domainname", "box"], "uts"),
        (&["--boottime", "7"], "time"),
        (&["--monotonic", "-7"], "time"),
        (&["--map-root"], "user"),
        (&["--map-current"], "user"),
        (&["--uidmap", "0:0:1"], "user"),
        (&["--gidmap", "0:0:1"], "user"),
        (&["--setgroups", "allow"], "user"),
    ];
    for (options, kind) in cases {
        let ended = izba(&ground, User::Root, options, SEEN);
        assert_eq!(new_kinds(&without_numbers(ended.text())), [kind], "{options:?}");
    }
}

#[test]
fn subordinate_ids_are_mapped_as_unshare_maps_them() {
    let ground = Ground::new();
    let maps = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id";
    let show = |ended: Ended| ended.text().split_whitespace().map(String::from).collect::<Vec<_>>();
    let (shown, mut theirs) = (
        show(izba(&ground, User::Ranges, &["--map-auto", "-r"], maps)),
        show(unshare(&ground, User::Ranges, &["--map-auto", "-r"], maps)),
    );
    // unshare 2.38 is one short of the range that /etc/subuid has.
    for count in [5, 11] {
        let whole = theirs[count].parse::<u32>().unwrap() + 1;
        assert_eq!(shown[count], whole.to_string(), "{shown:?}");
        theirs[count] = whole.to_string();
    }
    assert_eq!(shown, theirs);
    assert!(shown.contains(&"uid=0(root)".to_owned()), "{shown:?}");
    let refused = izba(&ground, User::OneId, &["--map-auto"], "true");
    assert!(refused.refusal().contains("subordinate ids"), "{refused:?}");
}

#[test]
fn ids_are_mapped_by_hand() {
    let ground = Ground::new();
    let maps = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g";
    // unshare has newuidmap(1) write them, which knows nothing of root's rights.
    let options = ["--uidmap", "0:5000:10", "--gidmap", "0:6000:20", "-S", "0", "-G", "0"];
    let shown = izba(&ground, User::Root, &options, maps);
    let words: Vec<&str> = shown.text().split_whitespace().collect();
    assert_eq!(words, ["0", "5000", "10", "0", "6000", "20", "allow", "0", "0"]);
    for user in [User::Ranges, User::OneId] {
        let (uid, gid, _) = user.account();
        let ours = ["--uidmap", &format!("7:{uid}:1"), "--gidmap", &format!("8:{gid}:1")];
        let theirs = ["--map-user", "7", "--map-group", "8"];
        same_as(&ground, user, &ours, &theirs, &format!("{maps}; {SEEN}"));
    }
}

#[test]
fn setgroups_is_given_up_where_it_is_asked_for() {
    let ground = Ground::new();
    let show = "cat /proc/self/setgroups; id";
    for user in User::ALL {
        let denied = izba(&ground, user, &["-U", "--setgroups", "deny"], show);
        assert!(denied.text().starts_with("deny\nuid=65534"), "{user:?}: {denied:?}");
        same_as(&ground, user, &["-r", "--setgroups", "deny"], &["-r"], show);
    }
    let ended = izba(&ground, User::Root, &["-r", "--setgroups", "allow"], show);
    assert_eq!(ended.text(), izba(&ground, User::Root, &["-r"], show).text());
    assert!(ended.text().starts_with("allow\nuid=0(root) gid=0(root)"), "{ended:?}");
    let refused = izba(&ground, User::OneId, &["-r", "--setgroups", "allow"], "true");
    assert!(refused.refusal().contains("user_namespaces(7)"), "{refused:?}");
}

#[test]
fn the_program_becomes_who_is_asked_for() {
    let ground = Ground::new();
    for (options, expected) in [
        (&["-n", "-S", "1234", "-G", "2345"][..], "1234 2345"),
        (&["-n", "-S", "1234"], "1234 0"),
        (&["-n", "-G", "2345"], "0 2345"),
    ] {
        let shown = same(&ground, User::Root, options, "echo $(id -u) $(id -g); grep ^Cap /proc/self/status");
        assert_eq!(shown.lines().next(), Some(expected), "{options:?}");
    }
    // unshare keeps the caller's other groups, which belong to who one was.
    let ended = izba(&ground, User::Root, &["-n", "-S", "1234", "-G", "2345"], "id -G");
    assert_eq!(ended.text(), "2345");
    let refused = izba(&ground, User::OneId, &["-r", "-S", "5"], "true");
    assert!(refused.failure(125).contains('5'), "{refused:?}");
}

#[test]
fn clocks_are_ahead_by_what_is_asked_for() {
    let ground = Ground::new();
    let offsets = "cat /proc/self/timens_offsets";
    for user in User::ALL {
        let options = [rights(user), &["-T", "--boottime", "86400", "--monotonic", "-3"]].concat();
        let shown = same(&ground, user, &options, offsets);
        assert_eq!(shown.split_whitespace().collect::<Vec<_>>(), ["monotonic", "-3", "0", "boottime", "86400", "0"]);
        let before = uptime(&fs::read_to_string("/proc/uptime").unwrap());
        let inside = uptime(izba(&ground, user, &options, "cat /proc/uptime").text());
        let after = uptime(&fs::read_to_string("/proc/uptime").unwrap());
        assert!(before + 8_640_000 <= inside && inside <= after + 8_640_000, "{before} {inside} {after}");
    }
    let refused = izba(&ground, User::Root, &["--boottime", "-99999999999"], "true");
    assert!(refused.refusal().contains("time"), "{refused:?}");
}

fn uptime(text: &str) -> u64 {
    // As whole hundredths of a second: sums of binary fractions can be off by a hair.
    text.split_whitespace().next().unwrap().replace('.', "").parse().unwrap()
}

#[test]
fn names_are_the_namespaces_own() {
    let ground = Ground::new();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for user in User::ALL {
        let options = [rights(user), &["--hostname", "box", "--domainname", "example"]].concat();
        let ended = izba(&ground, user, &options, "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname");
        assert_eq!(ended.text(), "box\nexample", "{user:?}");
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host);
}

#[test]
fn a_new_network_has_a_loopback_that_is_down() {
    let ground = Ground::new();
    for user in User::ALL {
        let options = [rights(user), &["-n"]].concat();
        let shown = same(&ground, user, &options, "ip -o link; ip -o addr; ip route");
        assert!(shown.contains("lo: <LOOPBACK>") && shown.contains("state DOWN"), "{shown}");
    }
}

#[test]
fn a_new_proc_shows_the_new_processes_only() {
    let ground = Ground::new();
    let show = "set -- /proc/[0-9]*; echo $#; cat /proc/1/comm; grep -c ' /proc ' /proc/self/mountinfo; awk '$5 == \"/proc\" { print $6 }' /proc/self/mountinfo | tail -1";
    for user in User::ALL {
        let options = [rights(user), &["-p", "--mount-proc"]].concat();
        let shown = same(&ground, user, &options, show);
        assert!(shown.contains("\nsh\n"), "{shown}");
    }
    let refused = izba(&ground, User::OneId, &["-U", "-r", "--mount-proc"], "true");
    assert!(refused.refusal().contains("PID namespace"), "{refused:?}");
}

#[test]
fn the_root_directory_is_another() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("root-{}", user.name()), user);
        let root = root.to_str().unwrap();
        let show = "pwd; ls /; cat /etc/passwd; ls -di / | cut -d/ -f1";
        let options = [rights(user), &["-m", "--root", root]].concat();
        same(&ground, user, &options, show);
        let relative = [rights(user), &["-m", "--root", root.rsplit('/').next().unwrap()]].concat();
        assert!(izba(&ground, user, &relative, "cat /etc/passwd").text().contains("ann"), "{user:?}");
        let options = [rights(user), &["-p", "--root", root, "--mount-proc"]].concat();
        let shown = same(&ground, user, &options, "set -- /proc/[0-9]*; echo $#; cat /proc/1/comm; echo $$");
        assert!(shown.ends_with("\n1"), "{shown}");
        let options = [rights(user), &["-m", "--root", root, "--wd", "/etc"]].concat();
        assert_eq!(same(&ground, user, &options, "pwd; ls"), "/etc\ngroup\npasswd", "{user:?}");
    }
    let missing = izba(&ground, User::Root, &["-m", "--root", "/no/such"], "true");
    assert!(missing.refusal().contains("/no/such"), "{missing:?}");
    let file = izba(&ground, User::Root, &["-m", "--root", "/etc/passwd"], "true");
    assert!(file.refusal().contains("/etc/passwd"), "{file:?}");
}

#[test]
fn the_working_directory_is_kept_or_another() {
    let ground = Ground::new();
    for user in User::ALL {
        let dir = ground.directory("here", user);
        for options in [&["-m"][..], &["-u"], &["-p"]] {
            let options = [rights(user), options].concat();
            let mut command = ground.izba(user);
            let ended = run(command.current_dir(&dir).args(["ns", "run"]).args(&options).args(["pwd"]));
            assert_eq!(ended.text(), dir.to_str().unwrap(), "{user:?} {options:?}");
        }
        let options = [rights(user), &["-u", "-w", "/usr"]].concat();
        assert_eq!(same(&ground, user, &options, "pwd"), "/usr");
    }
    let missing = izba(&ground, User::Root, &["-u", "--wd", "/no/such"], "true");
    assert!(missing.refusal().contains("/no/such"), "{missing:?}");
}

/// Mounts of each propagation type in a mount namespace of the test's own, where the command that follows runs as this user. The
/// shell stays, as without it the namespace would end, and its mounts would be nobody's peers.
const MOUNTS: &str = "set -e; cd \"$1\"; mkdir -p shared slave private; for dir in shared slave private; do mount -t tmpfs none $dir; done; \
    mount --make-shared shared; mount --make-shared slave; mount --make-slave slave; mount --make-private private; \
    uid=$2; gid=$3; shift 3; setpriv --reuid $uid --regid $gid --clear-groups \"$@\"";

#[test]
fn mounts_travel_as_is_asked_for() {
    let ground = Ground::new();
    let show = "awk -v ORS=' ' '/(shared|slave|private) rw/ { n = split($5, path, \"/\"); print path[n]; for (i = 7; $i != \"-\"; i++) { split($i, tag, \":\"); print tag[1] } }' /proc/self/mountinfo";
    for user in User::ALL {
        let (uid, gid, _) = user.account();
        let place = ground.directory(&format!("mounts-{}", user.name()), User::Root);
        let seen = |program: &[&str], options: &[&str]| {
            let mut command = peer(&ground, User::Root, "/usr/bin/unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", MOUNTS, "sh"]).arg(&place);
            command.args([uid.to_string(), gid.to_string()]).args(program).args(rights(user)).args(options);
            let ended = run(command.args(["sh", "-c", show]));
            ended.text().trim_end().to_owned()
        };
        let binary = ground.path("izba");
        let ours = [binary.to_str().unwrap(), "ns", "run"];
        let mut kinds = std::collections::BTreeSet::new();
        for word in ["private", "slave", "shared", "unchanged"] {
            let options = ["-m", "--propagation", word];
            let shown = seen(&ours, &options);
            assert_eq!(shown, seen(&["/usr/bin/unshare"], &options), "{user:?} {word}");
            kinds.insert(shown);
        }
        assert!(kinds.len() >= 3, "{user:?}: {kinds:?}");
        assert_eq!(seen(&ours, &["-m"]), "shared slave private", "{user:?}: private is the default");
        assert_eq!(seen(&["/usr/bin/unshare"], &["-m"]), "shared slave private", "{user:?}");
    }
}
