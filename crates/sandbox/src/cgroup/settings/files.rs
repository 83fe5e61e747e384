//! The files of one controller of a group, while limits are written down for it.

use std::fmt::Display;

use super::{Controller, Current, LimitError, Lowered, Setting, Version};
use crate::cgroup::{Bound, Presence};

/// What the files of a controller say, and what is to be written to them.
pub(super) struct Files<'a> {
    pub(super) controller: Controller,
    pub(super) version: Version,
    current: &'a Current<'a>,
    lowered: &'a mut Lowered,
}

impl<'a> Files<'a> {
    pub(super) fn new(
        controller: Controller,
        version: Version,
        current: &'a Current<'a>,
        lowered: &'a mut Lowered,
    ) -> Self {
        Self { controller, version, current, lowered }
    }

    pub(super) fn write(&mut self, file: &str, value: impl Display) {
        self.push(file, value, Presence::Required);
    }

    pub(super) fn write_if_there(&mut self, file: &str, value: impl Display) {
        self.push(file, value, Presence::Optional);
    }

    pub(super) fn write_twins(&mut self, [one, other]: [(&str, String); 2]) {
        self.push(one.0, one.1, Presence::Twin { file: other.0.to_owned(), value: other.1 });
    }

    fn push(&mut self, file: &str, value: impl Display, presence: Presence) {
        let (controller, version) = (Some(self.controller), self.version);
        self.lowered.settings.push(Setting {
            controller,
            version,
            file: file.to_owned(),
            value: value.to_string(),
            presence,
        });
    }

    pub(super) fn refuse(&mut self, problem: impl Into<String>, remedy: impl Into<String>) {
        self.lowered.refused.push(LimitError::new(problem, remedy));
    }

    /// A limit that cgroup v2 doesn't have.
    pub(super) fn refuse_on_v2(&mut self, limit: impl Display, remedy: &str) {
        self.refuse(format!("cgroup v2 has no {limit}"), remedy);
    }

    /// As the version writes a bound of bytes.
    pub(super) fn bound(&self, bound: Bound) -> String {
        match (bound, self.version) {
            (Bound::At(value), _) => value.to_string(),
            (Bound::Max, Version::V2) => "max".into(),
            (Bound::Max, Version::V1) => "-1".into(),
        }
    }

    /// What a file says now.
    pub(super) fn text(&self, file: &str) -> Option<String> {
        (self.current)(self.controller, file).map(|text| text.trim().to_owned())
    }

    pub(super) fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.parse().ok()
    }

    /// Where nothing is known there is no bound, as in a fresh group.
    pub(super) fn bound_now(&self, file: &str) -> Bound {
        self.text(file).and_then(|text| Bound::of_file(&text)).unwrap_or(Bound::Max)
    }
}
