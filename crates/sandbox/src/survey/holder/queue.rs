//! The file system of an IPC namespace's message queues: mq_overview(7).

use std::os::fd::AsFd;

use izba_sys::path::{fstat, major, minor};

use super::super::{Id, Survey};
use crate::visit::{Errand, MESSAGE_QUEUES, Visitors};

/// Its number as a mount table shows it. The kernel has one such file system for each IPC namespace, so a visitor mounts it once more,
/// where nobody sees it. `None` without the rights to do that.
pub(super) fn device(survey: &Survey, id: Id) -> Option<String> {
    let namespace = survey.open(id).ok()?;
    let mut visitors = Visitors::default();
    let (_, found) = visitors.ask(Errand::Objects, id, namespace.as_fd(), None).ok()?;
    let device = fstat(found.descriptors.get(MESSAGE_QUEUES)?).ok()?.st_dev;
    Some(format!("{}:{}", major(device), minor(device)))
}
