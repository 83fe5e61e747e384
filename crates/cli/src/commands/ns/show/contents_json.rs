//! What is in a namespace, for programs.

use izba_sandbox::contents::{Contents, Interface, IpcContents, MountRow, UserContents};
use izba_sandbox::idmap::IdRange;
use serde_json::{Value, json};

/// By the namespace's kind.
pub fn contents(contents: &Contents) -> Value {
    match contents {
        Contents::User(user) => user_value(user),
        Contents::Mount(mounts) => json!({ "mounts": mounts.iter().map(mount).collect::<Vec<_>>() }),
        Contents::Net(interfaces) => json!({ "interfaces": interfaces.iter().map(interface).collect::<Vec<_>>() }),
        Contents::Ipc(objects) => ipc(objects),
        Contents::Uts { hostname, domainname } => json!({ "hostname": hostname, "domainname": domainname }),
        Contents::Time(offsets) => json!({ "monotonic": offsets.monotonic, "boottime": offsets.boottime }),
        Contents::Cgroup(roots) => {
            let root = |(hierarchy, path): &(String, String)| json!({ "controllers": hierarchy, "root": path });
            json!({ "roots": roots.iter().map(root).collect::<Vec<_>>() })
        }
        Contents::Pid => json!({}),
    }
}

fn user_value(user: &UserContents) -> Value {
    let range = |range: &IdRange| json!({ "inside": range.inside, "outside": range.outside, "count": range.count });
    json!({
        "uids": user.uids.iter().map(range).collect::<Vec<_>>(),
        "gids": user.gids.iter().map(range).collect::<Vec<_>>(),
        "setgroups": user.setgroups,
    })
}

fn mount(row: &MountRow) -> Value {
    json!({
        "point": row.point.to_string_lossy(),
        "fstype": row.fstype,
        "source": row.source,
        "propagation": row.propagation,
        "options": row.options,
    })
}

fn interface(interface: &Interface) -> Value {
    let addresses = interface.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}"));
    json!({
        "index": interface.index,
        "name": interface.name,
        "kind": interface.kind,
        "up": interface.up,
        "address": interface.address,
        "addresses": addresses.collect::<Vec<_>>(),
        "master": interface.master,
        "peer": interface.peer.map(|peer| {
            json!({ "index": peer.index, "namespace": peer.namespace.map(|id| id.inode) })
        }),
    })
}

fn ipc(objects: &IpcContents) -> Value {
    let list = |objects: &[(i32, u64)], what: &str| {
        objects.iter().map(|(id, number)| json!({ "id": id, what: number })).collect::<Vec<_>>()
    };
    json!({
        "sharedMemory": list(&objects.shared_memory, "bytes"),
        "semaphores": list(&objects.semaphores, "count"),
        "queues": list(&objects.queues, "bytes"),
        "posixQueues": objects.posix_queues,
    })
}
