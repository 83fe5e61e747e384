//! Starts real sandboxes through the library.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use izba_sandbox::capability::Capabilities;
use izba_sandbox::facts::Facts;
use izba_sandbox::namespace::Namespaces;
use izba_sandbox::parent::{Outcome, spawn};
use izba_sandbox::plan::Plan;
use izba_sandbox::rootfs::{Root, SystemMounts, Writes};
use izba_sandbox::sandbox::{Ids, Init, Process, Sandbox, Terminal};

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn busybox(root: &Path, script: &str) -> Sandbox {
    Sandbox {
        root: Root::Directory { path: root.to_owned(), writes: Writes::InPlace },
        no_pivot: false,
        namespaces: Namespaces::isolated(),
        system: SystemMounts::Private,
        mounts: Vec::new(),
        files: Vec::new(),
        hostname: Some(c("inside")),
        domainname: None,
        sysctls: Vec::new(),
        process: Process {
            candidates: vec![c("/bin/busybox")],
            args: ["busybox", "sh", "-c", script].map(c).to_vec(),
            env: vec![c("PATH=/bin")],
            cwd: PathBuf::from("/"),
            user: Ids::default(),
            capabilities: Capabilities::small(),
            no_new_privs: true,
            rlimits: Vec::new(),
            oom_score_adj: None,
            descriptors: Vec::new(),
            terminal: Terminal::Inherit,
            init: Init::Builtin,
        },
    }
}

#[test]
fn smoke() {
    let root = std::env::temp_dir().join(format!("izba-smoke-{}", std::process::id()));
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    let sandbox = busybox(&root, "busybox id; busybox mount; busybox hostname; busybox ps; busybox ls -la / /dev /proc/self/fd; busybox ip link; busybox cat /proc/self/status | busybox grep -E 'Cap|NoNew|NSsid'; exit 7");
    let facts = Facts::gather(&sandbox).unwrap();
    let plan = Plan::new(&sandbox, &facts).unwrap();
    for (actor, step) in plan.steps() {
        println!("{actor:?} {} # {}", step.title, step.shell.clone().unwrap_or_default());
        for call in plan.calls(step) { println!("      {call}"); }
    }
    let mut child = spawn(&plan, Some(&mut |done| println!("{:>8} ns {}", done.nanoseconds, done.step.title))).unwrap();
    assert_eq!(child.wait().unwrap(), Outcome::Exited(7));
    std::fs::remove_dir_all(&root).unwrap();
}
