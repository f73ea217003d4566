//! Lines of whatever format each looks like.
//!
//! Each line is told by itself and by what is tried in one order, so two parts of a file can never disagree: an object is
//! JSON, then comes syslog, then an access log, and what has a `key=` is logfmt.

use super::Reason;
use super::access::{AccessLines, Server};
use super::json::JsonLines;
use super::logfmt::{LogfmtLines, NO_PAIR};
use super::syslog::SyslogLines;
use crate::data::json::Shape;
use crate::data::{FieldPath, Raw};

/// Reads lines of any format.
#[derive(Debug)]
pub struct AutoLines {
    json: JsonLines,
    syslog: SyslogLines,
    access: AccessLines,
    logfmt: LogfmtLines,
}

impl AutoLines {
    /// Takes the fields at `paths`, each to the slot of its number. A field that the format of a line lacks stays empty.
    ///
    /// # Errors
    /// When a path is deeper than JSON may be.
    pub fn new(paths: &[FieldPath]) -> Result<AutoLines, String> {
        Ok(AutoLines {
            json: JsonLines::new(paths)?,
            syslog: SyslogLines::new(paths),
            access: AccessLines::new(Server::Either, paths),
            logfmt: LogfmtLines::new(paths),
        })
    }

    /// Reads a line into `slots`, which are empty; `shape` is that of the last line of JSON.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>], shape: &mut Shape) -> Result<(), Reason> {
        match line.trim_ascii_start() {
            [b'{', ..] => return self.json.read(line, slots, shape),
            // A priority: other lines do not begin so.
            [b'<', b'0'..=b'9', ..] => return self.syslog.read(line, slots),
            _ => (),
        }
        if self.syslog.read_if_alike(line, slots) || self.access.read(line, slots).is_ok() {
            return Ok(());
        }
        match self.logfmt.read(line, slots) {
            Err(reason) if reason == NO_PAIR => Err("the line is of no known format".into()),
            read => read,
        }
    }
}
