//! `izba ns list`, beside lsns(8), as root and as ordinary users.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};

use serde_json::Value;
use support::{Background, Ground, User, run};

const KINDS: [&str; 8] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"];

/// A process in namespaces of its own, made by unshare(1), and what it runs there.
fn start(ground: &Ground, user: User, script: &str) -> (Background, i32) {
    let mut unshare = ground.command("unshare", user);
    if user != User::Root {
        unshare.args(["-U", "-r"]);
    }
    unshare.args(["-m", "-p", "-n", "-i", "-u", "-C", "-T", "--fork", "--kill-child", "sh", "-c", script]);
    let (process, line) = Background::start(&mut unshare);
    assert_eq!(line, "up");
    let child = child(process.pid());
    (process, child)
}

fn child(pid: i32) -> i32 {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().parse().unwrap()
}

fn inode(pid: i32, kind: &str) -> u64 {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let text = link.to_str().unwrap();
    text.split(['[', ']']).nth(1).unwrap().parse().unwrap()
}

fn list(ground: &Ground, user: User, options: &[&str]) -> Value {
    let ended = run(ground.izba(user).args(["ns", "list", "--format", "json"]).args(options));
    serde_json::from_str(ended.text()).unwrap()
}

fn rows(list: &Value) -> BTreeMap<u64, &Value> {
    let rows = list["namespaces"].as_array().unwrap();
    let by_id: BTreeMap<u64, &Value> = rows.iter().map(|row| (row["id"].as_u64().unwrap(), row)).collect();
    assert_eq!(by_id.len(), rows.len(), "an id twice: {list}");
    by_id
}

/// id, type, number of processes, leader, parent, owner; 0 where there is none.
type Row = (u64, String, u64, u64, u64, u64);

/// A line of a list in JSON, whose fields have these names.
fn row(value: &Value, [id, kind, processes, leader, parent, owner]: [&str; 6]) -> Row {
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let kind = value.pointer(kind).and_then(Value::as_str).unwrap().to_owned();
    (number(id), kind, number(processes), number(leader), number(parent), number(owner))
}

fn of_lsns(ground: &Ground, user: User) -> Vec<Row> {
    let once = || run(ground.command("lsns", user).args(["--json", "-o", "NS,TYPE,NPROCS,PID,PNS,ONS"]));
    // It gives up when a process of another test ends while it looks.
    let ended = (0..100).map(|_| once()).find(|ended| ended.status == 0).unwrap();
    let list: Value = serde_json::from_str(ended.text()).unwrap();
    let names = ["/ns", "/type", "/nprocs", "/pid", "/pns", "/ons"];
    list["namespaces"].as_array().unwrap().iter().map(|value| row(value, names)).collect()
}

fn of_izba(list: &Value) -> Vec<Row> {
    let names = ["/id", "/type", "/processes", "/leader/pid", "/parent", "/owner"];
    list["namespaces"].as_array().unwrap().iter().map(|value| row(value, names)).collect()
}

/// A zombie has left all its namespaces but two, and a process whose children will be elsewhere is where it was.
#[test]
fn rows_are_those_of_lsns() {
    let ground = Ground::new();
    for user in User::ALL {
        // A shell would reap its child: sleep doesn't.
        let (mut process, pid) = start(&ground, user, "exec 3<&0; (read go <&3) & echo up; exec sleep infinity");
        let name = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
        ground.wait_for("the shell has become sleep", || name() == "sleep\n");
        process.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        ground.wait_for("the zombie", || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            let stat = fs::read_to_string(format!("/proc/{}/stat", children.trim()));
            stat.is_ok_and(|stat| stat.contains(") Z "))
        });
        let own: BTreeSet<u64> = KINDS.iter().map(|kind| inode(pid, kind)).filter(|&id| id >= 0xf000_0000).collect();
        let ours = |rows: Vec<Row>| rows.into_iter().filter(|row| own.contains(&row.0)).collect::<BTreeSet<_>>();
        let (theirs, listed) = (ours(of_lsns(&ground, user)), ours(of_izba(&list(&ground, user, &[]))));
        assert_eq!(listed, theirs, "{user:?}");
        assert_eq!(listed.len(), if user == User::Root { 7 } else { 8 }, "{listed:?}");
        let processes = |kind: &str| listed.iter().find(|row| row.1 == kind).unwrap().2;
        assert_eq!((processes("pid"), processes("time")), (2, 1), "{listed:?}");
    }
}

/// The inode numbers of a table without a head.
fn ids(ground: &Ground, options: &[&str]) -> Vec<String> {
    let ended = run(ground.izba(User::Root).args(["ns", "list", "-o", "id"]).args(options));
    ended.text().lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn filters_leave_out_the_rest() {
    let ground = Ground::new();
    let (_process, pid) = start(&ground, User::OneId, "echo up; read end");
    let own: Vec<String> = KINDS.iter().map(|kind| inode(pid, kind).to_string()).collect();
    let of_process = pid.to_string();
    assert_eq!(ids(&ground, &["--pid", &of_process]), own);
    assert_eq!(ids(&ground, &["-p", &of_process, "-t", "net,uts", "--type", "user"]), [&*own[0], &own[3], &own[5]]);
    for user in [User::OneId.name(), &User::OneId.account().0.to_string()] {
        let of_user = ids(&ground, &["--user", user]);
        assert!(own.iter().all(|id| of_user.contains(id)), "{of_user:?}");
    }
    let of_other: BTreeSet<String> = ids(&ground, &["-u", User::Ranges.name()]).into_iter().collect();
    assert!(!own.iter().any(|id| of_other.contains(id)), "{of_other:?}");
}

#[test]
fn the_columns_are_chosen() {
    let ground = Ground::new();
    let (_process, pid) = start(&ground, User::Root, "echo up; read end");
    let of_process = pid.to_string();
    let columns = "type,pid,ppid,user,uid,owner-uid,name,command";
    let options = ["ns", "list", "-t", "uts", "--pid", &of_process, "-o", columns];
    let ended = run(ground.izba(User::Root).args(options));
    let lines: Vec<Vec<&str>> = ended.text().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["TYPE", "PID", "PPID", "USER", "UID", "OWNER-UID", "NAME", "COMMAND"]);
    let leader = list(&ground, User::Root, &["-t", "uts", "--pid", &of_process])["namespaces"][0]["leader"].clone();
    let (first, parent) = (leader["pid"].to_string(), leader["parent"].to_string());
    assert_eq!(lines[1][..8], ["uts", &first, &parent, "root", "0", "0", "-", "unshare"]);
}

#[test]
fn what_is_bind_mounted_has_its_name() {
    let ground = Ground::new();
    let izba = ground.path("izba");
    let script = "mount -t tmpfs none /run; mkdir /run/netns; touch /run/netns/kept 'a b'; \
        unshare --net=/run/netns/kept true; unshare --uts='a b' true; \
        \"$0\" ns list --name kept -o procs,pid,name,path,command; \"$0\" ns list -t uts -o procs,path; umount 'a b'";
    let mut unshare = ground.command("unshare", User::Root);
    let ended = run(unshare.args(["-m", "--propagation", "private", "sh", "-c", script]).arg(izba));
    let lines: Vec<&str> = ended.text().lines().collect();
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((words, lines[2]), (vec!["0", "-", "kept", "/run/netns/kept", "-"], "PROCS  PATH"), "{ended:?}");
    let pinned = format!("0  {}", ground.path("a b").display());
    assert!(lines.iter().any(|line| line.trim() == pinned), "{ended:?}");
}

#[test]
fn pids_go_from_here_inwards() {
    let ground = Ground::new();
    let script = "unshare -pf --kill-child sh -c 'echo up; read end'";
    let (_process, outer) = start(&ground, User::Root, script);
    let inner = child(child(outer));
    let status = fs::read_to_string(format!("/proc/{inner}/status")).unwrap();
    let expected = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap().split_whitespace();
    let listed = list(&ground, User::Root, &["-t", "pid", "--pid", &inner.to_string()]);
    let row = &listed["namespaces"][0];
    let pids: Vec<String> = row["leader"]["pids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(pids, expected.collect::<Vec<_>>());
    assert_eq!((pids.len(), row["parent"].as_u64()), (3, Some(inode(outer, "pid"))));
}

#[test]
fn ancestors_without_a_process_are_listed() {
    let ground = Ground::new();
    for user in User::ALL {
        let mut unshare = ground.command("unshare", user);
        unshare.args(["-U", "-r", "unshare", "-U", "-r", "sh", "-c", "echo up; read end"]);
        let (process, line) = Background::start(&mut unshare);
        assert_eq!(line, "up");
        let listed = list(&ground, user, &["-t", "user"]);
        let rows = rows(&listed);
        let inner = rows[&inode(process.pid(), "user")];
        let middle = rows[&inner["parent"].as_u64().unwrap()];
        assert_eq!((middle["processes"].as_u64(), middle["leader"].is_null()), (Some(0), true), "{middle}");
        assert_eq!(middle["ownerUid"].as_u64(), Some(user.account().0.into()), "{middle}");
        let own = fs::read_link("/proc/self/ns/user").unwrap();
        assert_eq!(own.to_str(), Some(&*format!("user:[{}]", middle["parent"])), "{middle}");
    }
}

/// The links of a process are those of its main thread, until that has ended before the others.
#[test]
fn a_process_without_its_main_thread_is_a_member() {
    let ground = Ground::new();
    let script = "import ctypes, sys, threading\n\
        print('up', flush=True)\n\
        threading.Thread(target=sys.stdin.read).start()\n\
        ctypes.CDLL(None).pthread_exit(None)";
    let mut unshare = ground.command("unshare", User::Root);
    let (process, line) = Background::start(unshare.args(["-u", "python3", "-c", script]));
    assert_eq!(line, "up");
    let pid = process.pid().to_string();
    ground.wait_for("the main thread has ended", || fs::read_link(format!("/proc/{pid}/ns/uts")).is_err());
    let listed = list(&ground, User::Root, &["-t", "uts", "--pid", &pid]);
    let row = &listed["namespaces"][0];
    assert_eq!((row["leader"]["pid"].to_string(), row["processes"].as_u64()), (pid, Some(1)), "{listed}");
}

/// From inside, nothing is above the own namespace that could be seen, and that isn't the initial one.
#[test]
fn what_lies_outside_is_hidden() {
    let ground = Ground::new();
    let options = ["-U", "-r", "-p", "-f", "-m", "--mount-proc"];
    let mut unshare = ground.command("unshare", User::Root);
    unshare.args(options).arg(ground.path("izba")).args(["ns", "list", "--format", "json", "-t", "user,pid,net"]);
    let listed: Value = serde_json::from_str(run(&mut unshare).text()).unwrap();
    let seen = |kind: &str| {
        let found = listed["namespaces"].as_array().unwrap().iter().find(|row| row["type"] == kind).unwrap();
        (found["owner"].clone(), found["parent"].clone())
    };
    let own = listed["namespaces"][0]["id"].clone();
    assert_eq!(seen("user"), ("hidden".into(), "hidden".into()));
    assert_eq!(seen("pid"), (own, "hidden".into()));
    assert_eq!(seen("net"), ("hidden".into(), Value::Null));
    let outside = list(&ground, User::Root, &["-t", "user,pid"]);
    for row in outside["namespaces"].as_array().unwrap().iter().filter(|row| row["id"].as_u64() < Some(0xf000_0000)) {
        assert!(row["parent"].is_null(), "{row}");
    }
}

#[test]
fn what_may_not_be_read_is_said() {
    let ground = Ground::new();
    for user in User::ALL {
        let listed = list(&ground, user, &[]);
        let unreadable: Vec<i64> = listed["unreadable"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        let first = fs::read_link("/proc/1/ns/net").map_err(|error| error.kind());
        let hidden = user != User::Root || first == Err(ErrorKind::PermissionDenied);
        assert_eq!(unreadable.contains(&1), hidden, "{user:?} {unreadable:?}");
        let table = run(ground.izba(user).args(["ns", "list"]));
        assert_eq!(table.stderr.starts_with("note: the namespaces of "), hidden, "{table:?}");
        assert!(table.text().starts_with("TYPE "));
    }
}

#[test]
fn a_procfs_that_hides_processes_is_said() {
    let ground = Ground::new();
    let script = "mount -t proc -o hidepid=invisible none /proc; \
        exec setpriv --reuid \"$0\" --regid \"$0\" --clear-groups \"$1\" ns list -t user";
    let uid = User::OneId.account().0.to_string();
    let mut unshare = ground.command("unshare", User::Root);
    let ended = run(unshare.args(["-m", "sh", "-c", script, &uid]).arg(ground.path("izba")));
    assert!(ended.text().starts_with("TYPE"), "{ended:?}");
    let said = "note: /proc hides the processes of others (hidepid), and their namespaces with them";
    assert!(ended.stderr.lines().any(|line| line == said), "{ended:?}");
}

/// Short-lived namespaces and processes, in a PID namespace of their own, which ends them all.
#[test]
fn processes_that_come_and_go_make_no_wrong_row() {
    let ground = Ground::new();
    let script = "echo up; while :; do unshare -U -r -n -p -f true & unshare -i -u sh -c 'true & true'; true; done";
    let mut unshare = ground.command("unshare", User::Root);
    let (_churn, line) = Background::start(unshare.args(["-p", "-f", "--kill-child", "sh", "-c", script]));
    assert_eq!(line, "up");
    let mut most = 0;
    for _ in 0..50 {
        let listed = list(&ground, User::Root, &[]);
        let rows = rows(&listed);
        most = most.max(rows.len());
        for (id, row) in &rows {
            assert!(KINDS.contains(&row["type"].as_str().unwrap()), "{id}: {row}");
            let count = row["processes"].as_u64().unwrap();
            assert_eq!(row["leader"].is_null(), count == 0, "{row}");
            for link in ["owner", "parent"].map(|name| &row[name]).into_iter().filter_map(Value::as_u64) {
                assert!(rows.contains_key(&link), "{row}");
            }
            if count > 0 {
                let leader = &row["leader"];
                assert!(!leader["command"].as_str().unwrap().is_empty(), "{row}");
                assert_eq!(leader["pids"][0], leader["pid"], "{row}");
            }
        }
    }
    assert!(most > 10, "nothing was going on: {most}");
}

#[test]
fn lines_are_cut_on_a_terminal_only() {
    let ground = Ground::new();
    let long = "x".repeat(300);
    let (_process, pid) = start(&ground, User::Root, &format!("echo up; read end; : {long}"));
    let options = format!("ns list -t uts -p {pid}");
    let whole = run(ground.izba(User::Root).args(options.split(' ')));
    assert!(whole.text().contains(&long), "{whole:?}");
    let script = format!("stty cols 100; {} {options}", ground.path("izba").display());
    let cut = run(ground.command("script", User::Root).args(["-qec", &script, "/dev/null"]));
    let widest = cut.text().lines().map(|line| line.trim_end().chars().count()).max();
    assert_eq!(widest, Some(100), "{cut:?}");
}

#[test]
fn bad_input_is_refused() {
    let ground = Ground::new();
    let gone = {
        let mut child = ground.command("true", User::Root).spawn().unwrap();
        child.wait().unwrap();
        child.id().to_string()
    };
    let cases: [(&[&str], &str); 6] = [
        (&["-t", "net,net"], "net is named twice"),
        (&["-t", "ipc", "-t", "ipc"], "ipc is named twice"),
        (&["-t", "file"], "no namespace is called \"file\""),
        (&["--pid", &gone], "there is no process "),
        (&["--user", "izba-nobody"], "no user \"izba-nobody\""),
        (&["--columns", "id,colour"], "invalid value 'colour'"),
    ];
    for (options, said) in cases {
        let ended = run(ground.izba(User::Root).args(["ns", "list"]).args(options));
        assert!(ended.refusal().contains(said), "{options:?} {ended:?}");
    }
    let ended = run(ground.izba(User::OneId).args(["ns", "list", "--pid", "1"]));
    assert!(ended.refusal().contains("the namespaces of process 1 may not be read"), "{ended:?}");
}
