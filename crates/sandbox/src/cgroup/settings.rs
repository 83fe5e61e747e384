//! TEMPORARY stub
use super::*;
use std::collections::BTreeSet;
impl Limits {
    /// stub
    pub fn controllers(&self) -> BTreeSet<Controller> {
        let mut s = BTreeSet::new();
        if self.memory.limit.is_some() {
            s.insert(Controller::Memory);
        }
        if self.pids.is_some() {
            s.insert(Controller::Pids);
        }
        if self.cpu.cpus.is_some() {
            s.insert(Controller::Cpuset);
        }
        s
    }
    /// stub
    pub fn settings(&self, on: &dyn Fn(Controller) -> Option<Version>) -> (Vec<Setting>, Vec<LimitError>) {
        let mut v = Vec::new();
        if let Some(Bound::At(n)) = self.pids
            && let Some(version) = on(Controller::Pids)
        {
            v.push(Setting { controller: Controller::Pids, version, file: "pids.max".into(), value: n.to_string() });
        }
        if let Some(Bound::At(n)) = self.memory.limit
            && let Some(version) = on(Controller::Memory)
        {
            v.push(Setting {
                controller: Controller::Memory,
                version,
                file: if version == Version::V1 { "memory.limit_in_bytes".into() } else { "memory.max".into() },
                value: n.to_string(),
            });
        }
        (v, vec![])
    }
}
