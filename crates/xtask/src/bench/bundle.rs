//! What izba does by default, as a bundle for an OCI runtime: the same namespaces, mounts, masks and no capabilities.

use super::peers::MASKED;
use crate::Outcome;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// Writes a bundle at `place`, and gives the arguments with which runc and crun run it.
pub(super) fn run(place: &Path, root: &Path, limited: bool) -> Outcome<Vec<OsString>> {
    let name = format!("izba-bench-{}", std::process::id());
    let file = place.join("config.json");
    let text = config(root, &name, limited).to_string();
    fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    let state = place.join("state").into_os_string();
    Ok(vec!["--root".into(), state, "run".into(), "--bundle".into(), place.into(), name.into()])
}

fn config(root: &Path, name: &str, limited: bool) -> Value {
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": { "uid": 0, "gid": 0 },
            "capabilities": {}, "noNewPrivileges": true,
        },
        "root": { "path": root },
        "hostname": "izba",
        "mounts": mounts(),
        "linux": {
            "cgroupsPath": format!("/{name}"),
            "namespaces": namespaces,
            "maskedPaths": MASKED,
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "resources": if limited { limits() } else { json!({}) },
        },
    })
}

/// 64 MiB, 100 processes, one CPU.
fn limits() -> Value {
    json!({
        "memory": { "limit": 64 << 20 },
        "pids": { "limit": 100 },
        "cpu": { "quota": 100_000, "period": 100_000 },
    })
}

fn mounts() -> Vec<Value> {
    let inert = ["nosuid", "noexec", "nodev"];
    let mount = |target: &str, kind: &str, options: &[&str]| {
        let options = [&inert[..], options].concat();
        json!({ "destination": target, "type": kind, "source": kind, "options": options })
    };
    let dev = json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] });
    let pts = json!({
        "destination": "/dev/pts", "type": "devpts", "source": "devpts",
        "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    });
    vec![
        mount("/proc", "proc", &[]),
        dev,
        pts,
        mount("/dev/shm", "tmpfs", &["mode=1777"]),
        mount("/dev/mqueue", "mqueue", &[]),
        mount("/sys", "sysfs", &["ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["ro"]),
    ]
}
