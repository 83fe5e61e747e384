//! What the files of a group said before a change, so that one that fails leaves them so, or names those that it has changed.

use izba_sandbox::cgroup::{Group, Place, Presence, Setting, Version};

/// Each line of these can be written by itself.
const BY_LINE: [&str; 3] = ["io.weight", "io.bfq.weight", "blkio.bfq.weight_device"];

/// The files that are to be written, in this order.
pub struct Before<'a> {
    files: Vec<File>,
    place: &'a Place,
}

struct File {
    /// What is to be written.
    setting: Setting,
    /// What it said. Nothing where its controller wasn't had yet.
    then: Option<String>,
}

impl<'a> Before<'a> {
    pub fn read(settings: &[Setting], place: &'a Place) -> Self {
        let file = |setting: Setting| File { then: read(&setting, place), setting };
        Self { files: settings.iter().flat_map(single).map(file).collect(), place }
    }

    /// What would be written to put back what is one value.
    pub fn settings(&self) -> Vec<Setting> {
        self.files.iter().flat_map(File::writes).collect()
    }

    /// The files that still say something else then. In the opposite order each write by itself is one that the kernel takes, as it was before; and
    /// twice, because a weight of the group's takes those of the disks away.
    pub fn put_back(&self, group: &Group) -> Vec<String> {
        for file in self.files.iter().rev().chain(self.files.iter().rev()) {
            if self.is_changed(file) {
                // What couldn't be written is seen below.
                let _refused = group.change(&file.writes());
            }
        }
        let mut changed: Vec<String> = Vec::new();
        for file in self.files.iter().filter(|file| self.is_changed(file)) {
            let name = shown_in(&file.setting.file);
            if !changed.iter().any(|named| named == name) {
                changed.push(name.to_owned());
            }
        }
        changed
    }

    fn is_changed(&self, file: &File) -> bool {
        match (&file.then, read(&file.setting, self.place)) {
            (Some(then), Some(now)) => *then != now,
            (None, Some(now)) => now.trim() == file.setting.value,
            (_, None) => false,
        }
    }
}

impl File {
    fn writes(&self) -> Vec<Setting> {
        let Some(then) = self.then.as_ref().filter(|_| shown_in(&self.setting.file) == self.setting.file) else {
            return Vec::new();
        };
        let by_line = then.lines().count() == 1 || BY_LINE.contains(&self.setting.file.as_str());
        let lines = then.lines().filter(|_| by_line);
        lines.map(|line| Setting { value: format!("{line}\n"), ..self.setting.clone() }).collect()
    }
}

/// Twins are two files.
fn single(setting: &Setting) -> Vec<Setting> {
    let own = Setting { presence: Presence::Required, ..setting.clone() };
    match &setting.presence {
        Presence::Twin { file, value } => {
            vec![own.clone(), Setting { file: file.clone(), value: value.clone(), ..own }]
        }
        Presence::Required | Presence::Optional => vec![own],
    }
}

/// devices.allow and devices.deny can't be read.
fn shown_in(file: &str) -> &str {
    if file.starts_with("devices.") { "devices.list" } else { file }
}

fn read(setting: &Setting, place: &Place) -> Option<String> {
    let dir = match (setting.version, setting.controller) {
        (Version::V1, Some(controller)) => place.v1.get(&controller),
        _ => place.unified.as_ref(),
    };
    std::fs::read_to_string(dir?.join(shown_in(&setting.file))).ok()
}
