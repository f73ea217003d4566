//! A segment of shared memory as part of a handle: mapped here, and mapped again by whoever the handle is sent to.

use std::io;
use std::ops::Deref;

use procession_os::Segment;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::{self, Descriptor};

/// Where the part begins that belongs to the kind of object; before it lies what every segment has.
pub(crate) const AT_BODY: usize = 64;
const AT_KIND: usize = 0;

/// Tells the kinds of objects apart: eight letters.
pub(crate) type Kind = [u8; 8];

/// A mapped segment and the descriptor by which it travels.
#[derive(Debug)]
pub(crate) struct SharedSegment {
    segment: Segment,
    descriptor: Descriptor,
}

impl SharedSegment {
    /// A new segment, all zeros but for its kind, with `bytes` from [`AT_BODY`] on.
    ///
    /// # Errors
    /// Those of memfd_create(2) and mmap(2).
    pub fn create(kind: Kind, bytes: usize) -> io::Result<SharedSegment> {
        let name = format!("procession-{}", String::from_utf8_lossy(&kind).trim_end().to_lowercase());
        let len = AT_BODY.checked_add(bytes).ok_or(io::ErrorKind::OutOfMemory)?;
        let (segment, fd) = Segment::create(&name, len)?;
        segment.write(AT_KIND, &kind);
        Ok(SharedSegment { segment, descriptor: fd.into() })
    }

    /// Checks what another process has sent: a segment of this kind with at least so many bytes from [`AT_BODY`] on.
    ///
    /// # Errors
    /// What it is instead.
    pub fn check(&self, kind: Kind, bytes: usize) -> Result<(), String> {
        let mut found = Vec::new();
        if self.segment.len() >= AT_BODY {
            self.segment.read(AT_KIND, kind.len(), &mut found);
        }
        if found != kind || self.segment.len() - AT_BODY < bytes {
            return Err("what was passed is another kind of object".to_string());
        }
        Ok(())
    }
}

impl Deref for SharedSegment {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.segment
    }
}

impl Serialize for SharedSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.descriptor.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedSegment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedSegment, D::Error> {
        let descriptor = Descriptor::deserialize(deserializer)?;
        let segment = Segment::map(&descriptor).map_err(|e| D::Error::custom(handle::note(e.to_string())))?;
        Ok(SharedSegment { segment, descriptor })
    }
}
