//! Files of cgroup v2 by name: `unified` of config-linux.md.

use super::range::once;
use super::{Controller, Hierarchies, LimitError, Lowered, Setting};
use crate::cgroup::{Presence, Version};

/// They hold processes, not limits; `cgroup.kill` ends them, `cgroup.freeze` would stop the start itself.
const NO_LIMITS: [&str; 5] = ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.type"];

/// They take one line after the other, so that a second line contradicts nothing.
const BY_LINE: [&str; 4] = ["io.max", "io.weight", "io.bfq.weight", "rdma.max"];

pub(super) fn check(unified: &[(String, String)]) -> Result<(), LimitError> {
    once("a file", unified.iter().map(|(file, _)| file))?;
    unified.iter().try_for_each(|(file, _)| controller(file).map(drop))
}

/// Whose file it is by its name; `None` for one of the group itself.
pub(super) fn controller(file: &str) -> Result<Option<Controller>, LimitError> {
    let wrong = |why: &str| {
        let remedy = "name a file of cgroup v2 as CONTROLLER.PARAMETER: memory.high";
        LimitError::new(format!("{file:?} can't be set: {why}"), remedy)
    };
    if file.contains('/') || file.contains('\0') || file.contains("..") {
        return Err(wrong("it is no plain file name"));
    }
    if NO_LIMITS.contains(&file) {
        return Err(wrong("it is no limit"));
    }
    let (prefix, parameter) = file.split_once('.').ok_or_else(|| wrong("it names no controller"))?;
    if parameter.is_empty() {
        return Err(wrong("it names no parameter"));
    }
    if prefix == "cgroup" {
        return Ok(None);
    }
    let known = Controller::all().find(|controller| controller.name(Version::V2) == Some(prefix));
    known.map(Some).ok_or_else(|| wrong(&format!("cgroup v2 has no controller {prefix}")))
}

/// After the other limits, as runc does.
pub(super) fn lower(
    unified: &[(String, String)],
    on: &Hierarchies<'_>,
    lowered: &mut Lowered,
) -> Result<(), LimitError> {
    for (file, value) in unified {
        agrees(file, value, &lowered.settings)?;
        let controller = controller(file)?;
        match controller {
            Some(controller) if on(controller) != Some(Version::V2) => {
                let problem =
                    format!("{file} can't be set to {value:?}: there is no {controller} controller on cgroup v2 here");
                lowered.refused.push(LimitError::new(problem, "use the limit's own option, which works on v1 too"));
            }
            _ => lowered.settings.push(Setting {
                controller,
                version: Version::V2,
                file: file.clone(),
                value: value.clone(),
                presence: Presence::Required,
            }),
        }
    }
    Ok(())
}

/// runc lets the later write win without a word.
fn agrees(file: &str, value: &str, settings: &[Setting]) -> Result<(), LimitError> {
    let typed = settings.iter().find(|setting| setting.version == Version::V2 && setting.file == file);
    match typed {
        Some(typed) if typed.value != value && !BY_LINE.contains(&file) => {
            let problem = format!("{file} is to be both {:?}, by a limit, and {value:?}, by its name", typed.value);
            Err(LimitError::new(problem, "leave one of the two out"))
        }
        _ => Ok(()),
    }
}
