//! The trees for programs.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::{SeenNamespace, SeenProcess};
use serde_json::{Value, json};

use super::super::json;
use super::super::look::Look;
use super::{children, owned, topmost};

pub(super) fn of(look: &Look) -> Value {
    let pid: Vec<Value> = topmost(look, Kind::Pid).map(|seen| pid_namespace(look, seen)).collect();
    let user: Vec<Value> = topmost(look, Kind::User).map(|seen| user_namespace(look, seen)).collect();
    let hidden: Vec<Value> = owned(look, None).map(|seen| json::namespace(look, seen)).collect();
    json!({
        "pid": pid,
        "user": user,
        "ownerHidden": hidden,
        "unreadable": look.survey.unreadable,
        "hidesProcesses": look.survey.hides_processes,
    })
}

fn pid_namespace(look: &Look, seen: &SeenNamespace) -> Value {
    let members: Vec<Value> = look.survey.members(seen.id).map(|process| member(look, process)).collect();
    let below: Vec<Value> = children(look, seen.id).map(|child| pid_namespace(look, child)).collect();
    with(json::namespace(look, seen), [("members", members), ("children", below)])
}

fn user_namespace(look: &Look, seen: &SeenNamespace) -> Value {
    let owned: Vec<Value> = owned(look, Some(seen.id)).map(|seen| json::namespace(look, seen)).collect();
    let below: Vec<Value> = children(look, seen.id).map(|child| user_namespace(look, child)).collect();
    with(json::namespace(look, seen), [("owns", owned), ("children", below)])
}

fn member(look: &Look, process: &SeenProcess) -> Value {
    let mut value = json::process(look, process);
    value["namespaces"] = json::namespaces(process);
    value
}

fn with(mut value: Value, lists: [(&str, Vec<Value>); 2]) -> Value {
    for (name, list) in lists {
        value[name] = list.into();
    }
    value
}
