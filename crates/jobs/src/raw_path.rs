//! Paths on the wire, byte for byte: serde's own form refuses names that are not UTF-8.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path that travels to a worker. It shares its memory with what the plan says of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPath(Arc<Path>);

impl Deref for RawPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl From<Arc<Path>> for RawPath {
    fn from(path: Arc<Path>) -> RawPath {
        RawPath(path)
    }
}

impl From<&Path> for RawPath {
    fn from(path: &Path) -> RawPath {
        RawPath(path.into())
    }
}

impl Serialize for RawPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_os_str().as_bytes())
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawPath, D::Error> {
        let bytes: Cow<'de, [u8]> = serde_bytes::deserialize(deserializer)?;
        Ok(RawPath(Path::new(OsStr::from_bytes(&bytes)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_arrives_as_it_is() {
        for name in [&b"/var/log/syslog"[..], b"", b"caf\xe9\xff\n", b"a/../b//"] {
            let path = RawPath::from(Path::new(OsStr::from_bytes(name)));
            let bytes = postcard::to_stdvec(&path).unwrap();
            let arrived: RawPath = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(arrived.as_os_str(), OsStr::from_bytes(name));
        }
    }
}
