//! Executes the pages of docs/cookbook as a reader would, and compares what is seen with what the page shows.
//! docs/cookbook/README.md says how a block is written.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that can't go on fails")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Ground, User, run};

macro_rules! pages {
    ($($name:ident: $file:literal),* $(,)?) => {
        const PAGES: &[&str] = &[$($file),*];
        $(#[test] fn $name() { follow($file); })*
    };
}

pages! {
    cgroup: "cgroup.md",
    entering: "entering.md",
    home_container: "home-container.md",
    ipc: "ipc.md",
    jail: "jail.md",
    lifetime: "lifetime.md",
    limits: "limits.md",
    looking: "looking.md",
    mount_namespaces: "mount-namespaces.md",
    net_namespaces: "net-namespaces.md",
    pid: "pid.md",
    quota: "quota.md",
    rescue: "rescue.md",
    runs: "runs.md",
    time: "time.md",
    user: "user.md",
    uts: "uts.md",
}

#[test]
fn every_page_has_its_test_and_its_line_in_the_index() {
    let names = fs::read_dir(cookbook()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "README.md").collect();
    pages.sort();
    assert_eq!(pages, PAGES);
    let index = fs::read_to_string(cookbook().join("README.md")).unwrap();
    for page in PAGES {
        assert!(index.contains(&format!("]({page})")), "README.md doesn't link {page}");
    }
}

#[test]
fn three_dots_match_anything_and_nothing_else_does() {
    let cases = [
        ("a\nb", "a\nb", true),
        ("a\n...\nd", "a\nb\nc\nd", true),
        ("a\n...\nd", "a\nd", true),
        ("...", "", true),
        ("pid ... of ...", "pid 17 of 4", true),
        ("pid ... of", "pid 17 of 4", false),
        ("...4", "44", true),
        ("a", "a\nb", false),
        ("a\n...\nd", "a\nb", false),
    ];
    for (expected, got, matches) in cases {
        assert_eq!(lines_match(&lines(expected), &lines(got)), matches, "{expected:?} {got:?}");
    }
}

fn cookbook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cookbook")
}

/// Goes through a page: once as each user that it has commands for, from top to bottom in one shell.
fn follow(name: &str) {
    let page = Page::read(name);
    assert!(page.blocks.iter().any(|block| !block.commands.is_empty()), "{name} has no command that is executed");
    let ground = Ground::new();
    let mut wrong = String::new();
    for user in User::ALL {
        let commands: Vec<&Typed> =
            page.blocks.iter().filter(|block| block.users.contains(&user)).flat_map(|block| &block.commands).collect();
        if !commands.is_empty() {
            follow_as(&ground, user, &page, &commands, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn follow_as(ground: &Ground, user: User, page: &Page, commands: &[&Typed], wrong: &mut String) {
    let dir = ground.directory(&format!("page-{user:?}"), user);
    for (name, text) in &page.files {
        fs::write(dir.join(name), text).unwrap();
    }
    let script = ground.path(&format!("script-{user:?}"));
    fs::write(&script, script_of(commands)).unwrap();
    let ended = run(shell(ground, user).arg(&script).current_dir(&dir));
    let answers = answers(&ended.stdout);
    for (index, command) in commands.iter().enumerate() {
        let (got, end) = match answers.get(index) {
            Some((got, status)) => (*got, format!("exit status {status}")),
            None => ("", "it was never reached".to_owned()),
        };
        if end != "exit status 0" || !lines_match(&lines(&command.expected), &lines(got)) {
            let (name, Typed { line, text, expected }) = (&page.name, command);
            writeln!(wrong, "\n{name}:{line}, {user:?}: {text}\n--- expected\n{expected}--- got ({end})\n{got}")
                .unwrap();
        }
    }
    if !ended.stderr.is_empty() {
        writeln!(wrong, "\n{}, {user:?}: the shell says: {}", page.name, ended.stderr).unwrap();
    }
}

const NAMES_OF_ITS_OWN: &str =
    "mkdir -p /run/netns && mount -t tmpfs -o mode=755 tmpfs /run/netns && exec /bin/bash \"$0\"";

/// What root mounts on a page is seen by that page only, and is gone when a command fails. So are the names of `ip netns`.
fn shell(ground: &Ground, user: User) -> Command {
    let mut shell = match user {
        User::Root => ground.command("/usr/bin/unshare", user),
        _ => ground.command("/bin/bash", user),
    };
    if user == User::Root {
        shell.args(["--mount", "--propagation", "private", "/bin/sh", "-c", NAMES_OF_ITS_OWN]);
    }
    let path = format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", ground.path("").display());
    shell.env("PATH", path).env("IZBA_CACHE", ground.directory(&format!("cache-{user:?}"), user)).env("LC_ALL", "C");
    shell
}

const MARK: &str = "\n-=- izba cookbook -=- ";

fn script_of(commands: &[&Typed]) -> String {
    let mut script = String::from("umask 022; exec 2>&1\n");
    for command in commands {
        // On a line of its own: the command may end in a here-document.
        writeln!(script, "{}\nprintf '%s%s\\n' '{MARK}' $?", command.text).unwrap();
    }
    script
}

/// What each command printed, and its exit status, which follows the mark.
fn answers(stdout: &str) -> Vec<(&str, &str)> {
    let mut answers = Vec::new();
    let mut parts = stdout.split(MARK);
    let mut output = parts.next().unwrap_or_default();
    for part in parts {
        let (status, next) = part.split_once('\n').unwrap_or((part, ""));
        answers.push((output, status));
        output = next;
    }
    answers
}

struct Page {
    name: String,
    /// Files that the page shows with their names.
    files: Vec<(String, String)>,
    blocks: Vec<Block>,
}

struct Block {
    users: Vec<User>,
    commands: Vec<Typed>,
}

/// A command as it is typed, and what is then seen.
struct Typed {
    line: usize,
    text: String,
    expected: String,
}

impl Page {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(cookbook().join(name)).unwrap();
        let mut page = Self { name: name.to_owned(), files: Vec::new(), blocks: Vec::new() };
        let mut numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        while let Some((start, line)) = numbered.next() {
            let Some(info) = line.strip_prefix("```") else { continue };
            let inside: Vec<(usize, &str)> = numbered.by_ref().take_while(|(_, line)| *line != "```").collect();
            page.take(start, info, &inside);
        }
        page
    }

    fn take(&mut self, start: usize, info: &str, inside: &[(usize, &str)]) {
        let users = match info {
            "console" | "text" => return,
            "console root" => vec![User::Root],
            "console user" => vec![User::Ranges, User::OneId],
            "console user-with-ranges" => vec![User::Ranges],
            "console user-with-one-id" => vec![User::OneId],
            _ => {
                let file =
                    info.strip_prefix("c ").unwrap_or_else(|| panic!("{}:{start}: what is `{info}`?", self.name));
                let text = inside.iter().fold(String::new(), |text, (_, line)| text + line + "\n");
                self.files.push((file.to_owned(), text));
                return;
            }
        };
        let prompt = if users == [User::Root] { "# " } else { "$ " };
        let commands = commands(prompt, inside);
        assert!(!commands.is_empty(), "{}:{start}: a block without a line that starts with {prompt:?}", self.name);
        self.blocks.push(Block { users, commands });
    }
}

fn commands(prompt: &str, inside: &[(usize, &str)]) -> Vec<Typed> {
    let mut commands: Vec<Typed> = Vec::new();
    for (line, text) in inside {
        let continued = text.strip_prefix("> ").or((*text == ">").then_some(""));
        match (text.strip_prefix(prompt), continued, commands.last_mut()) {
            (Some(text), _, _) => commands.push(Typed { line: *line, text: text.to_owned(), expected: String::new() }),
            (None, Some(more), Some(last)) if last.expected.is_empty() => last.text += &format!("\n{more}"),
            (None, _, Some(last)) => last.expected += &format!("{text}\n"),
            (None, _, None) => panic!("line {line}: output before the first command: {text}"),
        }
    }
    commands
}

/// With one space where there are several, and without the empty lines that end a text.
fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `...` stands for any part of a line, and alone on a line for any number of lines.
fn lines_match(expected: &[String], got: &[String]) -> bool {
    let Some((first, rest)) = expected.split_first() else { return got.is_empty() };
    if first == "..." {
        return (0..=got.len()).any(|skipped| lines_match(rest, &got[skipped..]));
    }
    got.split_first().is_some_and(|(line, more)| line_matches(first, line) && lines_match(rest, more))
}

fn line_matches(expected: &str, got: &str) -> bool {
    let Some((before, after)) = expected.split_once("...") else { return expected == got };
    let Some(rest) = got.strip_prefix(before) else { return false };
    let starts = rest.char_indices().map(|(index, _)| index).chain([rest.len()]);
    starts.into_iter().any(|start| line_matches(after, &rest[start..]))
}
