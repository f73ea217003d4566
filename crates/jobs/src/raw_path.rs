//! Paths on the wire, byte for byte: serde's own form refuses names that are not UTF-8.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserializer, Serializer};

/// Writes the path's bytes.
pub fn serialize<S: Serializer>(path: &Arc<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(AsRef::<OsStr>::as_ref(&**path).as_bytes())
}

/// Reads a path from its bytes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Path>, D::Error> {
    let bytes: Vec<u8> = serde_bytes::deserialize(deserializer)?;
    Ok(PathBuf::from(OsString::from_vec(bytes)).into())
}
