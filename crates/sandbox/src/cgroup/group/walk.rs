//! Through a group and its sub-groups.

use super::GroupError;
use super::directory::{Directory, if_there};

/// Visits each sub-group of `top` before the one that it is in, and `top` last. Goes on after an error, and returns all of them; a group
/// that vanishes meanwhile is none.
///
/// Only one directory is open at a time: who may make groups inside may nest them deeper than descriptors or the stack would last.
pub(super) fn children_first(
    top: &Directory,
    visit: &mut dyn FnMut(&Directory) -> Result<(), GroupError>,
) -> Vec<GroupError> {
    let mut errors = Vec::new();
    if let Err(error) = walk(top, visit, &mut errors) {
        errors.push(error);
    }
    errors
}

/// Fails only where it can't go on.
fn walk(
    top: &Directory,
    visit: &mut dyn FnMut(&Directory) -> Result<(), GroupError>,
    errors: &mut Vec<GroupError>,
) -> Result<(), GroupError> {
    let mut here = top.again()?;
    let mut unvisited = vec![if_there(here.subgroups())?.unwrap_or_default()];
    while let Some(below) = unvisited.last_mut() {
        if let Some(name) = below.pop() {
            let entered = here.subgroup(&name).and_then(|group| Ok((group.subgroups()?, group)));
            match if_there(entered) {
                Ok(None) => {}
                Ok(Some((names, group))) => {
                    unvisited.push(names);
                    here = group;
                }
                Err(error) => errors.push(error),
            }
            continue;
        }
        errors.extend(if_there(visit(&here)).err());
        unvisited.pop();
        if !unvisited.is_empty() {
            here = here.parent()?;
        }
    }
    Ok(())
}

/// The same, where the first error is all that matters.
pub(super) fn each(
    top: &Directory,
    visit: &mut dyn FnMut(&Directory) -> Result<(), GroupError>,
) -> Result<(), GroupError> {
    children_first(top, visit).into_iter().next().map_or(Ok(()), Err)
}
