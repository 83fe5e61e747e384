//! Reads a plan and what strace(1) wrote, and brings both to one form.

use std::collections::HashMap;

use serde_json::Value;

/// The calls of a plan, in one form with those of a trace.
pub struct Plan {
    pub parent: Vec<String>,
    pub child: Vec<String>,
}

impl Plan {
    pub fn parse(json: &str) -> Self {
        let json = process_of_groups(json).map_or_else(|| json.to_owned(), |pid| with_any_process(json, pid));
        let plan: Value = serde_json::from_str(&json).unwrap();
        let mut parent = Vec::new();
        let mut child = Vec::new();
        for step in plan["steps"].as_array().unwrap() {
            let calls = step["calls"].as_array().unwrap().iter().flat_map(|call| statements(call.as_str().unwrap()));
            if step["by"] == "parent" { parent.extend(calls) } else { child.extend(calls) }
        }
        Self {
            parent: parent.iter().map(|call| planned(call)).collect(),
            child: child.iter().map(|call| planned(call)).collect(),
        }
    }
}

/// One text may hold several calls.
fn statements(text: &str) -> Vec<String> {
    split(text, "; ")
}

/// Splits at a separator that stands outside quotes, brackets and braces.
fn split(text: &str, separator: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut quoted) = (Vec::new(), String::new(), 0, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !quoted && depth == 0 && rest.starts_with(separator) {
            parts.push(std::mem::take(&mut part));
            rest = &rest[separator.len()..];
            continue;
        }
        match c {
            '\\' if quoted => {
                part.push(c);
                rest = &rest[1..];
                let escaped = rest.chars().next().unwrap();
                part.push(escaped);
                rest = &rest[escaped.len_utf8()..];
                continue;
            }
            '"' => quoted = !quoted,
            '{' | '[' | '(' if !quoted => depth += 1,
            '}' | ']' | ')' if !quoted => depth -= 1,
            _ => {}
        }
        part.push(c);
        rest = &rest[c.len_utf8()..];
    }
    parts.push(part);
    parts
}

/// Groups are named after izba's process, which is another one at each start.
pub fn with_any_process(text: &str, pid: &str) -> String {
    text.replace(&format!("/izba-{pid}"), "/izba-PID")
}

/// The process in the names of a plan's groups, if it makes any.
pub fn process_of_groups(plan: &str) -> Option<&str> {
    let (_, group) = plan.split_once("mkdirat(AT_FDCWD, \\\"/sys/fs/cgroup/")?;
    let (_, rest) = group.split_once("/izba-")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()
}

/// A call of the plan: names of slots go, for a trace has numbers there.
fn planned(call: &str) -> String {
    let (call, comment) = call.split_once(" # ").unwrap_or((call, ""));
    let Some((name, arguments)) = parts(call) else { return call.to_owned() };
    match name.as_str() {
        "recvmsg" | "sendmsg" => {
            let count = comment.split(' ').next().filter(|count| !count.is_empty()).unwrap_or("1");
            format!("{name} {count} descriptors")
        }
        "bpf" => shown(&name, &[arguments[0].clone(), without_target(&arguments[1])]),
        _ => shown(&name, &arguments.iter().map(|argument| without_slot(argument)).collect::<Vec<_>>()),
    }
}

/// The group that a BPF program is attached to.
fn without_target(attributes: &str) -> String {
    let Some((before, rest)) = attributes.split_once("target_fd={") else { return attributes.to_owned() };
    let (_, after) = rest.split_once('}').unwrap();
    format!("{before}target_fd={{}}{after}")
}

fn without_slot(argument: &str) -> String {
    let slot = |text: &str| text.starts_with('{') && text.ends_with('}') && !text.contains('=');
    if slot(argument) {
        return "{}".to_owned();
    }
    let named = ["userns_fd=", ", cgroup="].into_iter().find_map(|name| {
        let (before, _) = argument.split_once(name).filter(|(_, fd)| fd.starts_with('{'))?;
        Some(format!("{before}{name}{{}}}}"))
    });
    match named {
        Some(named) => named,
        None if argument.starts_with("child_stack=") => "child_stack={}".to_owned(),
        None => argument.to_owned(),
    }
}

fn shown(name: &str, arguments: &[String]) -> String {
    format!("{name}({})", arguments.join(", "))
}

/// Name and arguments.
fn parts(call: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = call.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    Some((name.to_owned(), split(inner, ", ")))
}

/// One call of a process, as it was made.
#[derive(Clone, Debug)]
struct Made {
    name: String,
    arguments: Vec<String>,
    result: String,
}

/// What was done from the first clone to the program.
pub struct Trace {
    pub parent: Vec<String>,
    pub child: Vec<String>,
    /// What a process did after it had made the next one.
    supervising: Vec<String>,
    /// What izba did to groups when the program ran.
    afterwards: Vec<String>,
}

impl Trace {
    pub fn parse(text: &str) -> Self {
        let (order, calls) = by_process(text);
        let izba = order[0];
        let (before, parent) =
            calls[&izba].split_at(calls[&izba].iter().position(is_new_sandbox).expect("a sandbox was made"));
        let pid: i32 = parent[0].result.parse().unwrap();
        let made_by_izba: Vec<i32> =
            parent.iter().filter(|call| is_clone(call)).filter_map(|call| call.result.parse().ok()).collect();
        let chain: Vec<i32> =
            order.iter().copied().filter(|id| *id == pid || (*id != izba && !made_by_izba.contains(id))).collect();
        let (mut child, mut supervising) = (Vec::new(), Vec::new());
        for (index, id) in chain.iter().enumerate() {
            let calls = &calls[id];
            let is_end = |call: &Made| {
                if index + 1 < chain.len() { is_clone(call) } else { call.name == "execve" && call.result == "0" }
            };
            let end = calls
                .iter()
                .position(is_end)
                .unwrap_or_else(|| panic!("process {id} neither clones nor executes: {calls:#?}"));
            child.extend(calls[..=end].iter().filter(|call| !is_neutral(call)).map(done));
            if index + 1 < chain.len() {
                supervising.extend(calls[end + 1..].iter().map(|call| call.name.clone()));
            }
        }
        let (parent, after) = parent.split_at(heard_out(parent));
        let mut both = of_groups(before);
        both.extend(of_parent(parent, pid, &calls));
        let general = |calls: Vec<String>| calls.iter().map(|call| with_any_process(call, &izba.to_string())).collect();
        let afterwards = general(after.iter().filter(|call| changes_groups(call)).map(done).collect());
        Self { parent: general(both), child: general(merged(child)), supervising, afterwards }
    }

    /// Of groups, izba removes those that it has made, the first of them last, and does nothing else to any.
    #[track_caller]
    pub fn groups_are_removed(&self) {
        let made = self.parent.iter().filter_map(|call| {
            let path = call.strip_prefix("mkdirat(AT_FDCWD, ")?.strip_suffix(", 01755)")?;
            Some(format!("unlinkat(AT_FDCWD, {path}, AT_REMOVEDIR)"))
        });
        let (mut made, mut removed): (Vec<String>, _) = (made.collect(), self.afterwards.clone());
        assert_eq!(removed.last(), made.first());
        made.sort();
        removed.sort();
        assert_eq!(removed, made);
    }

    /// It watches and reaps; whatever else it did would be missing in the plan.
    #[track_caller]
    pub fn supervisors_only_watch(&self) {
        const WATCHING: [&str; 11] = [
            "signalfd4",
            "close_range",
            "close",
            "fcntl",
            "poll",
            "ppoll",
            "read",
            "wait4",
            "kill",
            "exit_group",
            "tgkill",
        ];
        let others: Vec<&String> = self.supervising.iter().filter(|name| !WATCHING.contains(&name.as_str())).collect();
        assert!(others.is_empty(), "{others:?}");
    }

    /// Calls that name a path of the host, from the last that opens something there to the change of the root.
    #[track_caller]
    pub fn host_paths_before_pivot(&self) -> Vec<&str> {
        let opens = |call: &String| call.starts_with("recvmsg") || (call.starts_with("open_tree(AT_FDCWD"));
        let opened = self.child.iter().rposition(opens).unwrap();
        let pivot = self.child.iter().position(|call| call.starts_with("pivot_root(")).unwrap();
        assert!(opened < pivot);
        let between = &self.child[opened + 1..pivot];
        between.iter().filter(|call| names_a_path_of_the_host(call)).map(String::as_str).collect()
    }
}

/// By AT_FDCWD, by an absolute path, or because the call has no directory to be relative to.
fn names_a_path_of_the_host(call: &str) -> bool {
    const WITHOUT_DIRECTORY: [&str; 18] = [
        "open", "creat", "mkdir", "mknod", "symlink", "link", "unlink", "rmdir", "rename", "chmod", "chown", "stat",
        "lstat", "access", "readlink", "mount", "chdir", "statfs",
    ];
    let (name, arguments) = parts(call).unwrap_or_default();
    if WITHOUT_DIRECTORY.contains(&name.as_str()) || arguments.iter().any(|argument| argument == "AT_FDCWD") {
        return true;
    }
    // The text of a link is no path that is resolved here; neither is what is written or configured.
    let resolved = match name.as_str() {
        "symlinkat" => &arguments[2..],
        "write" | "fsconfig" | "sethostname" | "prctl" => &[],
        _ => &arguments[..],
    };
    resolved.iter().any(|argument| argument.starts_with("\"/"))
}

/// Calls by process, processes in the order in which they appear.
fn by_process(text: &str) -> (Vec<i32>, HashMap<i32, Vec<Made>>) {
    let (mut order, mut calls): (Vec<i32>, HashMap<i32, Vec<Made>>) = Default::default();
    let mut unfinished: HashMap<i32, (usize, String)> = HashMap::new();
    for line in text.lines() {
        let (id, line) = line.split_once(' ').unwrap();
        let (id, line) = (id.parse().unwrap(), line.trim_start());
        if !order.contains(&id) {
            order.push(id);
        }
        let list = calls.entry(id).or_default();
        if let Some(start) = line.strip_suffix(" <unfinished ...>") {
            // Its place is where it began.
            unfinished.insert(id, (list.len(), start.to_owned()));
            list.push(made(&format!("{start}) = ?")).unwrap());
        } else if let Some((_, end)) = line.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            let (place, start) = unfinished.remove(&id).unwrap();
            list[place] = made(&format!("{start}{end}")).unwrap();
        } else if let Some(call) = made(line) {
            list.push(call);
        }
    }
    (order, calls)
}

/// Signals and exits are no calls.
fn made(line: &str) -> Option<Made> {
    if line.starts_with("+++") || line.starts_with("---") {
        return None;
    }
    let end = line.rfind(" = ")?;
    let (call, result) = (line[..end].trim_end(), &line[end + 3..]);
    let (name, arguments) = parts(call).or_else(|| parts(&format!("{call})")))?;
    Some(Made { name, arguments, result: result.split(' ').next().unwrap_or_default().to_owned() })
}

fn is_clone(call: &Made) -> bool {
    call.name == "clone3" || call.name == "clone"
}

fn is_new_sandbox(call: &Made) -> bool {
    call.name == "clone3" && call.arguments[0].contains("CLONE_PIDFD") && !call.arguments[0].contains("CLONE_VM")
}

/// Does it do more to a control group than look at it?
fn changes_groups(call: &Made) -> bool {
    const LOOKS: [&str; 8] = ["access", "faccessat", "faccessat2", "stat", "statx", "newfstatat", "statfs", "readlink"];
    let looks =
        LOOKS.contains(&call.name.as_str()) || (call.name == "openat" && call.arguments[2].starts_with("O_RDONLY"));
    !looks && call.arguments.iter().any(|argument| argument.starts_with("\"/sys/fs/cgroup"))
}

/// What the parent does to groups before there is a child: all that isn't bookkeeping, from the first call that changes one on.
fn of_groups(before: &[Made]) -> Vec<String> {
    // The child's stack has a guard page.
    const PREPARING: [&str; 5] = ["socketpair", "setsockopt", "fstat", "newfstatat", "mprotect"];
    let first = before.iter().position(changes_groups).unwrap_or(before.len());
    let bookkeeping = |call: &&Made| {
        is_neutral(call)
            || BOOKKEEPING.contains(&call.name.as_str())
            || PREPARING.contains(&call.name.as_str())
            || names_memory(call)
    };
    before[first..].iter().filter(|call| !bookkeeping(call)).map(done).collect()
}

/// Where the parent hears that the program is executed: there its part ends.
fn heard_out(calls: &[Made]) -> usize {
    calls.iter().rposition(|call| call.name == "recvmsg" && call.result == "0").unwrap_or(calls.len())
}

/// So that it is shown in /proc/PID/maps.
fn names_memory(call: &Made) -> bool {
    call.name == "prctl" && call.arguments[0].starts_with("0x41555856")
}

/// Closing a descriptor changes nothing but our own table, and the standard library looks before it closes.
fn is_neutral(call: &Made) -> bool {
    // openat2(2), EAGAIN: something else on the machine was mounted or renamed meanwhile, and it is asked again.
    if call.name == "openat2" && call.result.starts_with("-1 EAGAIN") {
        return true;
    }
    call.name == "close" || (call.name == "fcntl" && call.arguments[1] == "F_GETFD")
}

/// Which arguments are descriptors.
fn descriptors(call: &Made) -> &'static [usize] {
    match call.name.as_str() {
        "open_tree" | "fsconfig" | "fsmount" | "mount_setattr" | "openat2" | "openat" | "mkdirat" | "mknodat"
        | "unlinkat" | "fchdir" | "setns" | "write" | "ioctl" | "dup2" | "fstatfs" | "fstat" | "fchmod" | "flock" => {
            &[0]
        }
        "move_mount" => &[0, 2],
        "symlinkat" => &[1],
        "fcntl" if call.arguments[1] == "F_DUPFD_CLOEXEC" => &[0],
        _ => &[],
    }
}

fn done(call: &Made) -> String {
    let mut arguments = call.arguments.clone();
    for &index in descriptors(call) {
        if arguments[index].parse::<u32>().is_ok() {
            "{}".clone_into(&mut arguments[index]);
        }
    }
    for argument in &mut arguments {
        *argument = argument.replace("|O_LARGEFILE", "").replace(" /* MS_??? */", "");
    }
    match call.name.as_str() {
        "clone3" => {
            let group = if arguments[0].contains(", cgroup=") { ", cgroup={}" } else { "" };
            arguments = vec![format!("{}{group}}}", arguments[0].split(", ").next().unwrap())];
        }
        "clone" => arguments = vec!["child_stack={}".to_owned(), arguments[1].clone()],
        "bpf" => arguments = vec![arguments[0].clone(), attributes(&arguments[1])],
        "fstat" | "fstatfs" => arguments.truncate(1),
        "execve" => "ENV".clone_into(&mut arguments[2]),
        "mount_setattr" => arguments[3] = with_user_namespace(&arguments[3]),
        "umask" if arguments[0] == umask() => "CALLER".clone_into(&mut arguments[0]),
        "rt_sigaction" => {
            let action = arguments[1].split(',').next().unwrap().to_owned();
            arguments = vec![arguments[0].clone(), format!("{action}}}")];
        }
        // Nothing is blocked where a test starts.
        "rt_sigprocmask" if arguments[1] == "[]" => arguments = vec![arguments[0].clone(), "CALLER".to_owned()],
        "prlimit64" => arguments[2] = with_plain_numbers(&arguments[2]),
        "recvmsg" | "sendmsg" => return format!("{} {} descriptors", call.name, sent(&arguments[1])),
        _ => {}
    }
    shown(&call.name, &arguments)
}

/// Those of bpf(2) that say what is loaded, and onto what it is attached.
fn attributes(all: &str) -> String {
    let kept = split(all.trim_matches(['{', '}']), ", ").into_iter().filter_map(|field| {
        let (name, value) = field.split_once('=')?;
        match name {
            "prog_type" | "insn_cnt" | "attach_type" => Some(format!("{name}={value}")),
            "target_fd" => Some("target_fd={}".to_owned()),
            _ => None,
        }
    });
    format!("{{{}}}", kept.collect::<Vec<_>>().join(", "))
}

fn with_user_namespace(change: &str) -> String {
    match change.split_once("userns_fd=") {
        Some((before, fd)) if fd != "0}" => format!("{before}userns_fd={{}}}}"),
        _ => change.to_owned(),
    }
}

/// The mask of this process, which all that it starts inherit, as strace shows it.
fn umask() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:")).unwrap().trim();
    format!("0{}", mask.trim_start_matches('0'))
}

/// strace writes 2*1024 for 2048.
fn with_plain_numbers(text: &str) -> String {
    let plain = |word: &str| match word.trim_end_matches('}').split_once("*1024") {
        Some((count, "")) => {
            word.replace(&format!("{count}*1024"), &(count.parse::<u64>().unwrap() * 1024).to_string())
        }
        _ => word.to_owned(),
    };
    let fields = text.split(", ").map(|field| match field.split_once('=') {
        Some((key, value)) => format!("{key}={}", plain(value)),
        None => field.to_owned(),
    });
    fields.collect::<Vec<_>>().join(", ")
}

/// How many descriptors a message carries.
fn sent(message: &str) -> usize {
    let Some((_, data)) = message.split_once("cmsg_data=[") else { return 0 };
    data.split(']').next().unwrap().split(", ").count()
}

/// What is too much for one message comes in several.
fn merged(calls: Vec<String>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for call in calls {
        let (Some(last), Some(words)) = (merged.last_mut(), message(&call)) else {
            merged.push(call);
            continue;
        };
        match message(last) {
            Some((name, count)) if name == words.0 => *last = format!("{name} {} descriptors", count + words.1),
            _ => merged.push(call),
        }
    }
    merged
}

fn message(call: &str) -> Option<(String, usize)> {
    let (name, rest) = call.split_once(' ').filter(|(name, _)| matches!(*name, "sendmsg" | "recvmsg"))?;
    Some((name.to_owned(), rest.split(' ').next()?.parse().ok()?))
}

/// What changes nothing outside the process, or runs a helper program.
const BOOKKEEPING: [&str; 19] = [
    "rt_sigprocmask",
    "rt_sigaction",
    "recvmsg",
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "madvise",
    "read",
    "statx",
    "poll",
    "ppoll",
    "wait4",
    "pipe2",
    "futex",
    "getpid",
    "pidfd_open",
    "prlimit64",
    "sigaltstack",
];

fn of_parent(calls: &[Made], child: i32, all: &HashMap<i32, Vec<Made>>) -> Vec<String> {
    let helper_files = |call: &Made| call.name == "openat" && call.arguments[1] == "\"/dev/null\"";
    let mut list = Vec::new();
    for call in calls {
        if is_neutral(call) || BOOKKEEPING.contains(&call.name.as_str()) || helper_files(call) || names_memory(call) {
            continue;
        }
        let text =
            if is_clone(call) && call.arguments[0].contains("CLONE_VM") { helper(call, all) } else { done(call) };
        list.push(text.replace(&format!("/proc/{child}/"), "/proc/PID/").replacen(&format!(" {child} "), " PID ", 1));
    }
    merged(list)
}

/// A helper program, by its arguments.
fn helper(clone: &Made, all: &HashMap<i32, Vec<Made>>) -> String {
    let id: i32 = clone.result.parse().unwrap();
    let executed = all[&id].iter().find(|call| call.name == "execve" && call.result == "0").unwrap();
    let arguments = executed.arguments[1].trim_matches(['[', ']']);
    split(arguments, ", ").iter().map(|argument| argument.trim_matches('"')).collect::<Vec<_>>().join(" ")
}
