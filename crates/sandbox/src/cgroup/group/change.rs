//! Changing the limits of a group while it runs.

use super::directory::Directory;
use super::{Group, GroupError};
use crate::cgroup::{Setting, Version};

impl Group {
    /// Writes settings, in this order, and stops at the first that the kernel refuses: those before it have been made.
    ///
    /// # Errors
    /// [`NoDirectory`](GroupError::NoDirectory) where the group isn't in the hierarchy of a setting's controller; else which value couldn't
    /// be written to which file.
    pub fn change(&self, settings: &[Setting]) -> Result<(), GroupError> {
        settings.iter().try_for_each(|setting| self.directory_of(setting)?.write(&setting.file, &setting.value))
    }

    fn directory_of(&self, setting: &Setting) -> Result<&Directory, GroupError> {
        let directory = match setting.version {
            Version::V2 => self.unified.as_ref(),
            Version::V1 => self.v1(setting.controller),
        };
        directory.ok_or_else(|| GroupError::NoDirectory {
            controller: setting.controller,
            version: setting.version,
            file: setting.file.clone(),
        })
    }
}
