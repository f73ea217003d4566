//! The control groups of workers, which the supervisor makes and removes.

use std::io;
use std::os::fd::OwnedFd;

use procession_os::{MemoryGroup, MemoryGroups};

#[derive(Default)]
pub(super) struct Groups {
    /// Where they are made, once that was asked for.
    place: Option<MemoryGroups>,
    next_number: u64,
    /// Those of workers that have ended. What they have left behind may live in them still.
    closed: Vec<MemoryGroup>,
}

impl Groups {
    /// Makes a group for one worker, and what leads into it.
    ///
    /// # Errors
    /// When there is no place for groups, or the kernel refuses.
    pub fn create(&mut self, limit_bytes: u64) -> io::Result<(MemoryGroup, OwnedFd)> {
        let place = match &self.place {
            Some(place) => place,
            None => {
                let place = MemoryGroups::find()?;
                place.sweep();
                self.place.insert(place)
            }
        };
        self.next_number += 1;
        let group = place.create(self.next_number, limit_bytes)?;
        match group.door() {
            Ok(door) => Ok((group, door)),
            Err(e) => {
                group.remove();
                Err(e)
            }
        }
    }

    /// Its worker has ended: how much memory it had at most, if something was killed there because it was too much.
    pub fn close(&mut self, group: MemoryGroup) -> Option<u64> {
        let events = group.events();
        if !group.remove() {
            self.closed.push(group);
        }
        (events.kills > 0).then(|| events.peak_bytes.unwrap_or(0))
    }

    /// Removes those that nothing lives in any more.
    pub fn remove_empty(&mut self) {
        self.closed.retain(|group| !group.remove());
    }
}
