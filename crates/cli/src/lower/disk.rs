//! Disks by their numbers.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use izba_sys::path::{major, minor};

use crate::failure::{Failure, Result};
use crate::parse::block_device::BlockDevice;

/// Where the kernel shows block devices by their numbers: sysfs(5).
const SYSFS: &str = "/sys/dev/block";

/// The numbers of a disk that an option names. The kernel knows limits of whole disks only.
pub fn number(option: &str, device: &BlockDevice) -> Result<(u32, u32)> {
    let problem = |why: &str| Failure::new(format!("{option} {device}: {why}"));
    let number = match device {
        BlockDevice::Number(major, minor) => (*major, *minor),
        BlockDevice::Path(path) => {
            numbers_of(path).map_err(|error| problem("it isn't there").caused_by(&error))?.ok_or_else(|| {
                problem("it is no block device").remedy("a whole disk, such as /dev/sda: lsblk lists them")
            })?
        }
    };
    match disk_of(Path::new(SYSFS), number) {
        Found::Disk => Ok(number),
        Found::Partition(disk) => Err(problem("it is a partition, and the kernel limits whole disks only")
            .remedy(format!("{}, which is the disk", disk.display()))),
        Found::Nothing => Err(problem("there is no such block device").remedy("lsblk lists them")),
    }
}

/// `None` where it isn't a block device.
fn numbers_of(path: &Path) -> io::Result<Option<(u32, u32)>> {
    let metadata = path.metadata()?;
    let device = metadata.rdev();
    Ok(metadata.file_type().is_block_device().then(|| (major(device), minor(device))))
}

enum Found {
    Disk,
    /// Of this disk.
    Partition(PathBuf),
    Nothing,
}

/// What sysfs shows; where it shows nothing at all the kernel will say what is wrong.
fn disk_of(sysfs: &Path, (major, minor): (u32, u32)) -> Found {
    let link = sysfs.join(format!("{major}:{minor}"));
    // .../block/sda/sda1
    let Ok(directory) = link.canonicalize() else {
        return if sysfs.exists() { Found::Nothing } else { Found::Disk };
    };
    if !directory.join("partition").exists() {
        return Found::Disk;
    }
    let disk = directory.parent().and_then(Path::file_name).unwrap_or_default();
    Found::Partition(Path::new("/dev").join(disk))
}
