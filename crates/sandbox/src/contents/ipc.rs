//! The objects of an IPC namespace: sysvipc(7), mq_overview(7).

use std::fs::File;
use std::io::read_to_string;
use std::os::fd::{AsRawFd, OwnedFd};

use super::{ENTERING, IpcContents, Unreadable, Way};
use crate::survey::Id;
use crate::visit::{Errand, Visitors};

/// What is in the IPC namespace.
pub(super) fn read(id: Id, door: Way<'_>) -> Result<IpcContents, Unreadable> {
    let namespace = door.open(id)?;
    let mut visitors = Visitors::default();
    let visit = visitors.ask(Errand::Objects, id, namespace.fd(), None);
    let (_, found) = visit.map_err(Unreadable::refused(ENTERING))?;
    let mut files = found.descriptors.into_iter();
    let mut table = |columns| {
        let text = files.next().and_then(|file| read_to_string(File::from(file)).ok());
        text.map(|text| objects(&text, columns)).ok_or(Unreadable::Unknown("its objects can't be read"))
    };
    Ok(IpcContents {
        shared_memory: table(["shmid", "size"])?,
        semaphores: table(["semid", "nsems"])?,
        queues: table(["msqid", "cbytes"])?,
        posix_queues: files.next().and_then(|directory| names(&directory)),
    })
}

/// The ids of a table of /proc/sysvipc, with the number in this column.
pub(super) fn objects(table: &str, [id_column, column]: [&str; 2]) -> Vec<(i32, u64)> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let heading = lines.next().unwrap_or_default();
    let place = |name| heading.iter().position(|heading| *heading == name);
    let (Some(id), Some(number)) = (place(id_column), place(column)) else { return Vec::new() };
    let object = |row: Vec<&str>| Some((row.get(id)?.parse().ok()?, row.get(number)?.parse().ok()?));
    lines.filter_map(object).collect()
}

/// What is in the directory, in alphabetical order.
fn names(directory: &OwnedFd) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd())).ok()?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_by_their_headings() {
        let memory = "       key      shmid perms       size  cpid\n         0          3  1600    4096   12\n";
        assert_eq!(objects(memory, ["shmid", "size"]), [(3, 4096)]);
        let queues = "       key      msqid perms      cbytes       qnum\n 0 0 644 17 2\n 0 32769 644 0 0\n";
        assert_eq!(objects(queues, ["msqid", "cbytes"]), [(0, 17), (32_769, 0)]);
        assert!(objects("", ["semid", "nsems"]).is_empty());
    }
}
