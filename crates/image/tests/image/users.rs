//! The same archive as an ordinary user with one id, and as root of a user namespace with many.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::archive::Archive;
use crate::process::{answer, unpacker, unpacker_as};
use crate::scratch::{Scratch, need_root, picture};

const USER: u32 = 54_321;

/// Everything that an ordinary user cannot have as it is.
fn archive() -> Archive {
    let owned = |uid: u64| move |header: &mut tar::Header| header.set_uid(uid);
    let mode = |mode: u32| move |header: &mut tar::Header| header.set_mode(mode);
    Archive::default()
        .dir("./")
        .entry(b'5', b"closed/", b"", mode(0o555))
        .file("closed/inside", "x")
        .entry(b'5', b"dark/", b"", mode(0o000))
        .file("dark/inside", "x")
        .entry(b'5', b"mail/", b"", mode(0o2775))
        .entry(b'0', b"secret", b"x", mode(0o000))
        .entry(b'0', b"su", b"x", mode(0o4755))
        .entry(b'0', b"other", b"x", owned(1000))
        .entry(b'2', b"link", b"", |header| {
            header.set_uid(1000);
            header.as_old_mut().linkname[..1].copy_from_slice(b"x");
        })
        .device(b'3', "null", 1, 3)
        .device(b'4', "disk", 8, 0)
        .hard_link("null2", "null")
        .entry(b'6', b"fifo", b"", |_| {})
        .pax(&[("SCHILY.xattr.user.a", b"b"), ("SCHILY.xattr.security.capability", CAPABILITY)])
        .entry(b'0', b"capable", b"x", mode(0o755))
}

const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A scratch directory in which `uid` owns a home.
fn home(uid: u32) -> (Scratch, PathBuf, PathBuf) {
    need_root();
    let scratch = Scratch::new();
    let home = scratch.dir("home");
    chown(&home, Some(uid), Some(uid)).unwrap();
    let archive = scratch.write("a.tar", &archive().finish());
    (scratch, home.join("cache"), archive)
}

fn tree_in(answer: &str) -> &Path {
    Path::new(answer.split(' ').next().unwrap())
}

#[test]
fn an_ordinary_user_gets_all_that_one_id_can_have() {
    let (_scratch, cache, archive) = home(USER);
    let text = answer(&mut unpacker_as(USER, &cache, &archive, "squashed-54321"));
    for words in ["entries: 15", "squashed: 2", "devices_skipped: 3", "set_id_dropped: 1", "attributes_skipped: 1"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let tree = picture(tree_in(&text));
    assert!(tree.values().all(|seen| seen.owner == (USER, USER)));
    let mode = |name: &str| tree[Path::new(name)].mode & 0o7777;
    assert_eq!((mode("closed"), mode("dark"), mode("mail"), mode("secret")), (0o555, 0, 0o2775, 0));
    assert_eq!((mode("su"), mode("fifo")), (0o755, 0o644));
    assert_eq!(tree[Path::new("closed/inside")].size, 1);
    assert_eq!(tree[Path::new("capable")].attributes.keys().collect::<Vec<_>>(), ["user.a"]);
    assert!(!tree.contains_key(Path::new("null")) && !tree.contains_key(Path::new("null2")));
    assert!(tree.values().all(|seen| seen.mtime == (1_700_000_000, 0)), "{tree:?}");
}

#[test]
fn an_ordinary_user_can_remove_closed_directories() {
    let (scratch, cache, archive) = home(USER);
    // Cut off after the closed directories: they are removed by the user who cannot enter them.
    let bytes = fs::read(&archive).unwrap();
    let cut = scratch.write("cut.tar", &bytes[..5000]);
    let text = answer(&mut unpacker_as(USER, &cache, &cut, "squashed-54321"));
    assert!(text.contains("cut off"), "{text}");
    assert_eq!(fs::read_dir(cache.join("v1/making")).unwrap().count(), 0);
}

/// Runs a command as root of a new user namespace with a given id map.
fn in_user_namespace(command: &Command, map: &str) -> String {
    // This keeps the namespace until the command is in it.
    let mut keeper = Command::new("unshare").args(["--user", "sleep", "60"]).spawn().unwrap();
    let proc = PathBuf::from(format!("/proc/{}", keeper.id()));
    let ours = fs::read_link("/proc/self/ns/user").unwrap();
    while fs::read_link(proc.join("ns/user")).unwrap() == ours {
        std::thread::yield_now();
    }
    fs::write(proc.join("uid_map"), map).unwrap();
    fs::write(proc.join("gid_map"), map).unwrap();
    let mut inside = Command::new("nsenter");
    inside.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    inside.args(["--user", "--setuid=0", "--setgid=0", "--target", &keeper.id().to_string(), "--"]);
    inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    let text = answer(&mut inside);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    text
}

#[test]
fn root_of_a_user_namespace_gets_the_owners() {
    let (_scratch, cache, archive) = home(100_000);
    let text = in_user_namespace(&unpacker(&cache, &archive, "map-0-100000-65536"), "0 100000 65536");
    for words in ["squashed: 0", "devices_skipped: 3", "set_id_dropped: 0", "attributes_skipped: 0"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let tree = picture(tree_in(&text));
    assert_eq!(tree[Path::new("other")].owner, (101_000, 100_000));
    assert_eq!(tree[Path::new("link")].owner, (101_000, 100_000));
    assert_eq!(tree[Path::new("su")].mode & 0o7777, 0o4755);
    // The third revision of the format, which names the namespace's root.
    let capability = &tree[Path::new("capable")].attributes["security.capability"];
    assert_eq!((capability[3], capability.len(), &capability[20..]), (3, 24, &100_000u32.to_le_bytes()[..]));
}

#[test]
fn an_owner_without_a_mapping_is_named() {
    for (map, words) in [
        ("0 100000 500", &["entry other", "user 1000", "/etc/subuid", "--uidmap"][..]),
        ("0 100000 1", &["entry other", "user 1000"]),
    ] {
        let (_scratch, cache, archive) = home(100_000);
        let text = in_user_namespace(&unpacker(&cache, &archive, "small-map"), map);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(fs::read_dir(cache.join("v1/making")).unwrap().count(), 0);
    }
    let (scratch, cache, _) = home(100_000);
    let group = Archive::default().entry(b'0', b"f", b"", |header| header.set_gid(77)).finish();
    let archive = scratch.write("group.tar", &group);
    let text = in_user_namespace(&unpacker(&cache, &archive, "small-map"), "0 100000 50");
    assert!(text.contains("group 77") && text.contains("--gidmap"), "{text}");
}

#[test]
fn files_of_subordinate_ids_are_left_to_their_namespace() {
    let (_scratch, cache, archive) = home(USER);
    // The user is root inside and has a range, as newuidmap gives it.
    let map = format!("0 {USER} 1\n1 100000 65536");
    in_user_namespace(&unpacker(&cache, &archive, "map"), &map);
    let tree = fs::read_dir(cache.join("v1/trees")).unwrap().next().unwrap().unwrap().path();
    let owned = tree.join("root/owned");
    fs::create_dir(&owned).unwrap();
    fs::write(owned.join("file"), b"").unwrap();
    chown(&owned, Some(100_500), Some(100_500)).unwrap();
    fs::set_permissions(&owned, fs::Permissions::from_mode(0o755)).unwrap();
    // A half-made entry, as a killed process leaves it.
    fs::rename(&tree, cache.join("v1/making/left")).unwrap();
    let text = answer(sweeper(&cache).uid_of(USER));
    assert!(text.contains("removed 0") && text.contains("inside a user namespace"), "{text}");
    assert!(text.contains("making/left/root/owned/file"), "{text}");
    assert_eq!(fs::metadata(cache.join("v1/making/left")).unwrap().uid(), USER);
    let text = in_user_namespace(&sweeper(&cache).0, &map);
    assert!(text.contains("removed 1") && text.ends_with("failed []"), "{text}");
    assert_eq!(fs::read_dir(cache.join("v1/making")).unwrap().count(), 0);
}

/// A command that sweeps in another process.
struct Sweeper(Command);

fn sweeper(cache: &Path) -> Sweeper {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["users::sweep", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("IZBA_TEST_CACHE", cache);
    Sweeper(command)
}

impl Sweeper {
    fn uid_of(&mut self, uid: u32) -> &mut Command {
        use std::os::unix::process::CommandExt as _;
        self.0.uid(uid).gid(uid)
    }
}

#[test]
#[ignore = "other tests run this in a process of its own"]
#[allow(clippy::print_stdout)]
fn sweep() {
    let cache = std::env::var_os("IZBA_TEST_CACHE").unwrap();
    let swept = izba_image::Cache::open(cache.as_ref()).unwrap().sweep().unwrap();
    let failed: Vec<String> = swept.failed.iter().map(ToString::to_string).collect();
    println!("answer: removed {} links {} busy {} failed {failed:?}", swept.removed, swept.links, swept.busy);
}
