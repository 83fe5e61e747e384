//! RDMA devices: cgroup-v2.rst "RDMA", cgroup-v1/rdma.rst. The file is the same on both.

use super::LimitError;
use super::files::Files;
use super::range::{is_word, once};
use crate::cgroup::RdmaLimit;

pub(super) fn check(limits: &[RdmaLimit]) -> Result<(), LimitError> {
    once("an RDMA limit", limits.iter().map(|limit| &limit.device))?;
    for RdmaLimit { device, handles, objects } in limits {
        if !is_word(device) {
            let problem = format!("{device:?} is no name of an RDMA device");
            return Err(LimitError::new(problem, "give one that is in /sys/class/infiniband"));
        }
        if handles.is_none() && objects.is_none() {
            let problem = format!("nothing is limited of the RDMA device {device}");
            return Err(LimitError::new(problem, "limit handles, objects, or both"));
        }
    }
    Ok(())
}

pub(super) fn lower(limits: &[RdmaLimit], files: &mut Files<'_>) {
    for RdmaLimit { device, handles, objects } in limits {
        let mut line = device.clone();
        for (key, value) in [("hca_handle", handles), ("hca_object", objects)] {
            if let Some(value) = value {
                line.push_str(&format!(" {key}={value}"));
            }
        }
        files.write("rdma.max", line);
    }
}
