//! A plan as people and programs read it.

use super::{Plan, Step};

/// Who does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The calling process.
    Parent,
    /// The first process inside, and after its fork the program's.
    Child,
}

impl Plan {
    /// Every step in order: the parent's before the clone, the clone, the parent's while the child waits, and the child's.
    pub fn steps(&self) -> impl Iterator<Item = (Actor, &Step)> {
        let outside = self.before.iter().chain([&self.clone]).chain(&self.outside).map(|step| (Actor::Parent, step));
        outside.chain(self.inside.iter().map(|step| (Actor::Child, step)))
    }

    /// The system calls of a step, as strace(1) shows them; descriptors are named in braces.
    pub fn calls(&self, step: &Step) -> Vec<String> {
        step.calls.iter().map(|call| self.text_of(call)).collect()
    }
}
