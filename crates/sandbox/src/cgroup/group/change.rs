//! Changing the limits of a group while it runs.

use izba_sys::Errno;

use super::directory::Directory;
use super::{Group, GroupError};
use crate::cgroup::{Presence, Setting, Version};

impl Group {
    /// Writes settings, in this order, and stops at the first that the kernel refuses: those before it have been made.
    ///
    /// # Errors
    /// [`NoDirectory`](GroupError::NoDirectory) where the group isn't in the hierarchy of a setting's controller; else which value couldn't
    /// be written to which file.
    pub fn change(&self, settings: &[Setting]) -> Result<(), GroupError> {
        settings.iter().try_for_each(|setting| write(self.directory_of(setting)?, setting))
    }

    fn directory_of(&self, setting: &Setting) -> Result<&Directory, GroupError> {
        let directory = match (setting.version, setting.controller) {
            (Version::V1, Some(controller)) => self.v1(controller),
            _ => self.unified.as_ref(),
        };
        directory.ok_or_else(|| GroupError::NoDirectory { version: setting.version, file: setting.file.clone() })
    }
}

fn write(directory: &Directory, setting: &Setting) -> Result<(), GroupError> {
    let Setting { file, value, presence, .. } = setting;
    let written = directory.write(file, value);
    match presence {
        Presence::Optional if written.as_ref().is_err_and(GroupError::is_absence) => Ok(()),
        Presence::Required | Presence::Optional => written,
        Presence::Twin { file, value } => match (written, directory.write(file, value)) {
            // Both that are there are written.
            (Err(absent), twin) if does_not_work(&absent) => twin.map_err(|_| absent),
            (Ok(()), Err(absent)) if does_not_work(&absent) => Ok(()),
            (written, twin) => written.and(twin),
        },
    }
}

/// The file isn't there, or no scheduler of block devices follows it.
fn does_not_work(error: &GroupError) -> bool {
    error.is_absence() || error.errno() == Some(Errno::OPNOTSUPP)
}
