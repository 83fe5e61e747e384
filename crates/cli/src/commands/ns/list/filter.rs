//! Which namespaces are listed.

use izba_sandbox::namespace::Kind;
use izba_sandbox::survey::SeenNamespace;

use super::super::look::Look;
use crate::args::ns::list::ListArgs;
use crate::failure::{Failure, Result};

/// What can be refused before anything is read.
pub(super) fn check(args: &ListArgs) -> Result<()> {
    match args.kinds.iter().enumerate().find(|(index, kind)| args.kinds[..*index].contains(kind)) {
        Some((_, twice)) => Err(Failure::new(format!("--type: {twice} is named twice"))),
        None => Ok(()),
    }
}

/// Those that every filter lets through, by type and id.
pub(super) fn chosen<'look>(look: &'look Look, args: &ListArgs) -> Result<Vec<&'look SeenNamespace>> {
    let uid = args.user.as_deref().map(|user| look.users.uid(user)).transpose()?;
    let process = args.pid.map(|pid| own(look, pid)).transpose()?;
    let of_kind = |seen: &&SeenNamespace| args.kinds.is_empty() || args.kinds.contains(&seen.id.kind);
    let of_process =
        |seen: &&SeenNamespace| process.is_none_or(|own| own[seen.id.kind as usize] == Some(seen.id.inode));
    let of_user = |seen: &&SeenNamespace| uid.is_none_or(|uid| belongs(look, seen, uid));
    let named = |seen: &&SeenNamespace| args.name.as_ref().is_none_or(|name| look.is_named(seen.id, name));
    let all = look.survey.namespaces.values();
    Ok(all.filter(of_kind).filter(of_process).filter(of_user).filter(named).collect())
}

/// The namespaces of a process.
fn own(look: &Look, pid: i32) -> Result<[Option<u64>; 8]> {
    if let Some(process) = look.survey.processes.get(&pid) {
        return Ok(process.namespaces);
    }
    if look.survey.unreadable.contains(&pid) {
        let failure = Failure::new(format!("the namespaces of process {pid} may not be read"));
        let privileged = izba_sys::credential::geteuid().is_root();
        return Err(if privileged { failure } else { failure.remedy("as root, or as the user who runs it") });
    }
    Err(Failure::new(format!("there is no process {pid}")))
}

fn belongs(look: &Look, seen: &SeenNamespace, uid: u32) -> bool {
    let made = seen.id.kind == Kind::User && seen.owner_uid == Some(uid);
    made || look.survey.members(seen.id).any(|process| process.uid == uid)
}
