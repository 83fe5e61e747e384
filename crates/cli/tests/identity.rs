//! Who the program is: users, groups and id maps.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use support::{Ground, User, run};

/// The lines of a uid_map or gid_map, without padding.
fn map(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn owner(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

/// The first subordinate id of a user and their number.
fn subordinate(user: User) -> (u32, u32) {
    let (uid, ..) = user.account();
    let name = if user == User::Ranges { "izba-test" } else { "root" };
    let subuid = fs::read_to_string("/etc/subuid").unwrap();
    let line = subuid
        .lines()
        .find(|line| line.starts_with(&format!("{name}:")) || line.starts_with(&format!("{uid}:")))
        .unwrap();
    let fields: Vec<&str> = line.split(':').collect();
    (fields[1].parse().unwrap(), fields[2].parse().unwrap())
}

#[test]
fn the_program_is_root_inside_and_the_caller_outside() {
    let ground = Ground::new();
    for user in User::ALL {
        let (uid, gid, _) = user.account();
        let root = ground.busybox_root(&format!("{user:?}"), user);
        assert_eq!(ground.sh(user, &[], &root, "id -u; id -g; touch /tmp/made").text(), "0\n0", "{user:?}");
        assert_eq!(owner(&root.join("tmp/made")), (uid, gid), "{user:?}");
    }
}

#[test]
fn all_ids_that_the_caller_has_are_mapped() {
    let ground = Ground::new();
    for file in ["uid_map", "gid_map"] {
        let shown = |user| map(ground.sh(user, &[], "host", &format!("cat /proc/self/{file}")).text());
        assert_eq!(shown(User::Root), map(&fs::read_to_string(format!("/proc/self/{file}")).unwrap()));
        assert_eq!(shown(User::OneId), [format!("0 {} 1", User::OneId.account().0)]);
        let (first, count) = subordinate(User::Ranges);
        assert_eq!(shown(User::Ranges), [format!("0 {} 1", User::Ranges.account().0), format!("1 {first} {count}")]);
    }
}

#[test]
fn an_ordinary_user_with_one_id_is_mapped_as_unshare_maps_it() {
    let ground = Ground::new();
    let user = User::OneId;
    let script = "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u; id -g";
    let theirs = run(ground.command("unshare", user).args(["-Ur", "sh", "-c", script]));
    assert_eq!(ground.sh(user, &[], "host", script).text(), theirs.text());
}

#[test]
fn an_ordinary_user_is_shown_as_asked_for_as_bubblewrap_does() {
    let ground = Ground::new();
    let user = User::OneId;
    let script = "id -u; id -g; cat /proc/self/uid_map";
    let mut bwrap = ground.command("bwrap", user);
    bwrap.args([
        "--unshare-user",
        "--uid",
        "33",
        "--gid",
        "34",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(ground.sh(user, &["-u", "33:34"], "host", script).text(), run(&mut bwrap).text());
}

#[test]
fn users_and_groups_are_looked_up_in_the_root() {
    let ground = Ground::new();
    let show = "id -u; id -g; echo $USER $HOME";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for (asked, shown) in [
            ("ann", "1000\n1000\nann /home"),
            ("1000", "1000\n1000\nann /home"),
            ("ann:games", "1000\n60\nann /home"),
            ("1000:60", "1000\n60\nann /home"),
            ("12:13", "12\n13\n/"),
            ("12", "12\n0\n/"),
        ] {
            let ended = ground.sh(user, &["-u", asked], &root, show);
            assert_eq!(ended.text(), shown, "{user:?} {asked}");
        }
    }
}

#[test]
fn supplementary_groups_come_from_the_root_where_the_kernel_lets_them() {
    let ground = Ground::new();
    let show = "grep Groups: /proc/self/status | cut -f2 | xargs";
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let shown = ground.sh(user, &["-u", "ann"], &root, show);
        let expected = if user == User::OneId { "" } else { "60 1000" };
        let others = ground.sh(user, &["-u", "ann:games"], &root, show);
        let only = if user == User::OneId { "" } else { "60" };
        assert_eq!((shown.text(), others.text()), (expected, only), "{user:?}");
    }
}

#[test]
fn a_user_or_group_that_the_root_lacks_is_named() {
    let ground = Ground::new();
    for user in User::ALL {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        for asked in ["nemo", "ann:nogroup", "0:nogroup"] {
            let refused = ground.sh(user, &["-u", asked], &root, "true");
            assert!(refused.refusal().contains(asked.rsplit(':').next().unwrap()), "{user:?}: {refused:?}");
        }
    }
}

#[test]
fn ids_are_32_bit_numbers_and_not_minus_one() {
    let ground = Ground::new();
    for asked in ["-1", "4294967295", "4294967296", "0x10", " 0", "0:", ":0", "0:4294967295", "", "1:2:3"] {
        let refused = ground.sh(User::Root, &[&format!("--user={asked}")], "host", "true");
        assert!(refused.refusal().contains("--user") || refused.stderr.contains(asked), "{asked:?}: {refused:?}");
    }
}

#[test]
fn an_id_outside_of_the_map_is_refused_with_the_remedy() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Ranges);
    let refused = ground.sh(User::Ranges, &["-u", "70000"], &root, "true");
    let text = refused.refusal();
    assert!(text.contains("70000") && text.contains("/etc/subuid"), "{refused:?}");
}

#[test]
fn a_program_of_another_user_has_no_rights_over_files_of_root() {
    let ground = Ground::new();
    for user in [User::Root, User::Ranges] {
        let root = ground.busybox_root(&format!("{user:?}"), user);
        let ended = ground.sh(user, &["-u", "ann"], &root, "touch /etc/passwd || echo refused");
        assert_eq!(ended.text(), "refused", "{user:?}");
    }
}

#[test]
fn with_subordinate_ids_files_can_be_given_away() {
    let ground = Ground::new();
    let user = User::Ranges;
    let root = ground.busybox_root("root", user);
    ground.sh(user, &[], &root, "touch /tmp/made; chown 1000:60 /tmp/made").text();
    let (first, _) = subordinate(user);
    assert_eq!(owner(&root.join("tmp/made")), (first + 999, first + 59));
}

#[test]
fn root_in_a_user_namespace_is_nobody_outside_and_files_keep_their_owners() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    fs::write(root.join("theirs"), "").unwrap();
    chown(root.join("theirs"), Some(5), Some(6)).unwrap();
    let script = "id -u; stat -c %u:%g / /theirs; touch /tmp/made; touch /tmp/given; chown 7:8 /tmp/given; cat /proc/self/uid_map";
    let ended = ground.sh(User::Root, &["--userns"], &root, script);
    let lines: Vec<String> = map(ended.text());
    assert_eq!(lines[..3], ["0", "0:0", "5:6"]);
    let outside: u32 = lines[3].split(' ').nth(1).unwrap().parse().unwrap();
    assert!(outside >= 65_536, "{lines:?}");
    assert_eq!(owner(&root.join("tmp/made")), (0, 0));
    assert_eq!(owner(&root.join("tmp/given")), (7, 8));
    assert_eq!(owner(&root.join("theirs")), (5, 6));
}

#[test]
fn userns_works_with_every_kind_of_root() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for options in [
        &["--userns"][..],
        &["--userns", "--ephemeral"],
        &["--userns", "--read-only"],
        &["--userns", "--ephemeral=disk"],
    ] {
        let ended = ground.sh(User::Root, options, &root, "readlink /proc/self/ns/user; stat -c %u /bin/busybox");
        let lines: Vec<&str> = ended.text().lines().collect();
        assert_ne!(Path::new(lines[0]), fs::read_link("/proc/self/ns/user").unwrap(), "{options:?}");
        assert_eq!(lines[1], "0", "{options:?}");
    }
    assert_eq!(ground.sh(User::Root, &["--userns"], "host", "stat -c %u /usr").text(), "0");
}

#[test]
fn userns_does_not_let_writes_leave_an_ephemeral_root() {
    let ground = Ground::new();
    let root = ground.busybox_root("root", User::Root);
    for option in ["--ephemeral", "--ephemeral=disk"] {
        assert_eq!(
            ground.sh(User::Root, &["--userns", option], &root, "echo x > /made && cat /made").text(),
            "x",
            "{option}"
        );
        assert!(!root.join("made").exists(), "{option}");
    }
}

#[test]
fn ids_are_mapped_by_hand() {
    let ground = Ground::new();
    let show = "cat /proc/self/uid_map; cat /proc/self/gid_map";
    let root = ground.sh(
        User::Root,
        &["--uidmap", "0:200000:1000", "--uidmap", "1000:500000:10", "--gidmap", "0:300000:5"],
        "host",
        show,
    );
    assert_eq!(map(root.text()), ["0 200000 1000", "1000 500000 10", "0 300000 5"]);
    let alone = ground.sh(User::Root, &["--uidmap", "0:200000:1000"], "host", show);
    assert_eq!(map(alone.text()), ["0 200000 1000", "0 200000 1000"]);
    let (uid, gid, _) = User::OneId.account();
    let own = ground.sh(User::OneId, &["--uidmap", &format!("5:{uid}:1"), "-u", "5:5"], "host", show);
    assert_eq!(map(own.text()), [format!("5 {uid} 1"), format!("5 {gid} 1")]);
    let (first, _) = subordinate(User::Ranges);
    let (uid, ..) = User::Ranges.account();
    let (own, more) = (format!("0:{uid}:1"), format!("1:{first}:10"));
    let some = ground.sh(User::Ranges, &["--uidmap", &own, "--uidmap", &more], "host", show);
    let expected = [format!("0 {uid} 1"), format!("1 {first} 10")];
    assert_eq!(map(some.text()), [expected.clone(), expected].concat());
}

#[test]
fn maps_that_cannot_be_are_refused() {
    let ground = Ground::new();
    let cases = ["0:0:0", "0:1:2:3", "0:1", "a:b:c", "0:0:4294967296", "4294967290:0:10", "-1:0:1", ""];
    for text in cases {
        let refused = ground.sh(User::Root, &[&format!("--uidmap={text}")], "host", "true");
        assert!(refused.refusal().contains("uidmap"), "{text}: {refused:?}");
    }
    let overlap = ground.sh(User::Root, &["--uidmap", "0:1000:10", "--uidmap", "5:3000:10"], "host", "true");
    assert!(overlap.refusal().contains("--uidmap"), "{overlap:?}");
    let together = ground.sh(User::Root, &["--uidmap", "0:1000:10", "--share", "user"], "host", "true");
    together.refusal();
}

#[test]
fn an_ordinary_user_cannot_map_ids_of_others() {
    let ground = Ground::new();
    for user in [User::Ranges, User::OneId] {
        let refused = ground.sh(user, &["--uidmap", "0:0:1"], "host", "true");
        assert!(
            refused.refusal().contains("/etc/subuid") || refused.stderr.contains("subordinate"),
            "{user:?}: {refused:?}"
        );
    }
}

#[test]
fn a_bind_of_root_in_a_user_namespace_can_be_id_mapped() {
    let ground = Ground::new();
    let shared = ground.directory("shared", User::Root);
    let volume = format!("{}:/shared", shared.display());
    let plain = ground.sh(
        User::Root,
        &["--userns", "-v", &volume],
        "host",
        "stat -c %u /shared; touch /shared/x || echo refused",
    );
    assert_eq!(plain.text(), "65534\nrefused");
    let mapped = ground.sh(
        User::Root,
        &["--userns", "-v", &format!("{volume}:idmap")],
        "host",
        "stat -c %u /shared; touch /shared/x",
    );
    assert_eq!((mapped.text(), owner(&shared.join("x"))), ("0", (0, 0)));
    for user in [User::Ranges, User::OneId] {
        ground.sh(user, &["-v", &format!("{volume}:idmap")], "host", "true").refusal();
    }
}
