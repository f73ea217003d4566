//! What a file was when it was planned, to notice when it is another one later.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// Identity, length and time of the last change of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Length in bytes.
    pub bytes: u64,
    device: u64,
    inode: u64,
    modified: (i64, i64),
}

impl Stamp {
    /// The stamp of the file with this metadata.
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            bytes: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// The same from stat(2).
    pub(crate) fn of_stat(stat: &Stat) -> Stamp {
        // The types of these fields differ between machines.
        #[allow(clippy::unnecessary_cast)]
        Stamp {
            bytes: stat.st_size as u64,
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        }
    }

    /// Whether both are of one file, be it changed.
    pub fn is_same_file(&self, other: &Stamp) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Bytes that differ once the file is changed or replaced: for a journal. The device is left out, for its number may
    /// be another after a restart of the machine.
    pub fn identity(&self) -> [u8; 32] {
        let numbers = [self.bytes, self.inode, self.modified.0 as u64, self.modified.1 as u64];
        std::array::from_fn(|at| numbers[at / 8].to_le_bytes()[at % 8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_the_same_and_changes_show() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        let stamp = || Stamp::of(&std::fs::metadata(&path).unwrap());
        std::fs::write(&path, "one").unwrap();
        let one = stamp();
        assert_eq!(Stamp::of_stat(&rustix::fs::stat(&path).unwrap()), one);
        std::fs::write(&path, "three").unwrap();
        let three = stamp();
        assert!(one.is_same_file(&three) && one.identity() != three.identity());
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(7, 1)).unwrap();
        let early = stamp();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::new(7, 2)).unwrap();
        assert!(early.identity() != three.identity() && early.identity() != stamp().identity());
        assert!(!early.is_same_file(&Stamp::of(&std::fs::metadata(folder.path()).unwrap())));
    }
}
