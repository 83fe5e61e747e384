//! Details of namespaces for programs, and for the picture of `izba ns map`.

use izba_sandbox::survey::SeenProcess;
use izba_sandbox::survey::holder::{Holder, Mounted};
use serde_json::{Map, Value, json};

use super::super::json::{namespace, process};
use super::contents_json::contents;
use super::details::Details;

/// All about one namespace.
pub fn value(details: &Details<'_>) -> Value {
    let mut value = match namespace(details.look, details.seen) {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let unreadable = details.holders.unreadable;
    let more = json!({
        "initial": details.seen.id.is_initial(),
        "parents": details.parents.iter().map(|id| id.inode).collect::<Vec<_>>(),
        "members": details.members().map(|member| member_value(details, member)).collect::<Vec<_>>(),
        "contents": details.contents.as_ref().ok().map(contents),
        "contentsUnreadable": details.contents.as_ref().err().map(ToString::to_string),
        "holders": details.holders.found.iter().map(holder).collect::<Vec<_>>(),
        "explained": details.is_explained(),
        "unreadable": {
            "processes": unreadable.processes,
            "hiddenProcesses": unreadable.hidden_processes,
            "mountTables": unreadable.mount_tables,
            "mounts": unreadable.mounts,
        },
    });
    if let Value::Object(more) = more {
        value.extend(more);
    }
    Value::Object(value)
}

/// All about each of several, of one process if it is given.
pub fn values(pid: Option<i32>, all: &[Details<'_>]) -> Value {
    json!({ "process": pid, "namespaces": all.iter().map(value).collect::<Vec<_>>() })
}

fn member_value(details: &Details<'_>, member: &SeenProcess) -> Value {
    let mut value = process(details.look, member);
    if let Value::Object(fields) = &mut value {
        fields.insert("pidInside".to_owned(), details.pid_inside(member).into());
    }
    value
}

fn holder(holder: &Holder) -> Value {
    match holder {
        Holder::Member(pid) => json!({ "kind": "process", "pid": pid }),
        Holder::Thread { pid, tid } => json!({ "kind": "thread", "pid": pid, "tid": tid }),
        Holder::ForChildren(pid) => json!({ "kind": "for-children", "pid": pid }),
        Holder::Descriptor { pid, fd } => json!({ "kind": "descriptor", "pid": pid, "fd": fd }),
        Holder::BindMount(mounted) => mount("bind-mount", mounted),
        Holder::Child(id) => json!({ "kind": "child", "type": id.kind.proc_name(), "id": id.inode }),
        Holder::Owned(id) => json!({ "kind": "owned", "type": id.kind.proc_name(), "id": id.inode }),
        Holder::Proc(mounted) => mount("proc", mounted),
        Holder::Mqueue(mounted) => mount("mqueue", mounted),
    }
}

fn mount(kind: &str, mounted: &Mounted) -> Value {
    json!({
        "kind": kind,
        "path": mounted.point.to_string_lossy(),
        "mountNamespace": mounted.namespace.inode,
        "pid": mounted.pid,
    })
}
