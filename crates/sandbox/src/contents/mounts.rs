//! The mount table of a mount namespace: proc_pid_mountinfo(5).

use super::MountRow;
use crate::mountinfo::{MountLine, unescape};

/// The rows of a mountinfo file.
pub(super) fn rows(mountinfo: &str) -> Vec<MountRow> {
    mountinfo.lines().filter_map(MountLine::parse).map(|line| row(&line)).collect()
}

fn row(line: &MountLine<'_>) -> MountRow {
    MountRow {
        point: unescape(line.point),
        fstype: line.fstype.to_owned(),
        source: unescape(line.source).to_string_lossy().into_owned(),
        propagation: line.tags.split_whitespace().map(str::to_owned).collect(),
        options: line.options.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_propagation_and_plain_paths() {
        let rows = rows("36 35 98:0 / /mnt\\040a rw,noatime shared:2 master:1 - ext3 /dev/root rw\nnot a mount\n");
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].point.to_str(), rows[0].options.as_str()), (Some("/mnt a"), "rw,noatime"));
        assert_eq!(rows[0].propagation, ["shared:2", "master:1"]);
    }
}
