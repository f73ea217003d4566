//! Lines of syslog: as they travel ([RFC 5424](https://www.rfc-editor.org/rfc/rfc5424),
//! [RFC 3164](https://www.rfc-editor.org/rfc/rfc3164)), and as rsyslog and journalctl write them into files.

mod header;
mod structured;

use header::Header;

use super::Reason;
use super::names::{flat, wanted};
use super::value::{made, number_or_text, put};
use crate::data::{FieldPath, Raw};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Priority,
    Facility,
    Severity,
    Timestamp,
    Host,
    App,
    Pid,
    MessageId,
    StructuredData,
    Message,
}

/// The columns by their names; `sd.ID.NAME` is a parameter of the structured data.
pub const COLUMNS: [(&str, Column); 10] = [
    ("priority", Column::Priority),
    ("facility", Column::Facility),
    ("severity", Column::Severity),
    ("timestamp", Column::Timestamp),
    ("host", Column::Host),
    ("app", Column::App),
    ("pid", Column::Pid),
    ("msgid", Column::MessageId),
    ("structured_data", Column::StructuredData),
    ("message", Column::Message),
];

/// Facilities are numbers up to 23, severities up to 7.
const NUMBERS: [&[u8]; 24] = [
    b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9", b"10", b"11", b"12", b"13", b"14", b"15", b"16", b"17",
    b"18", b"19", b"20", b"21", b"22", b"23",
];

/// Reads lines of syslog.
#[derive(Debug)]
pub struct SyslogLines {
    columns: Vec<(Column, usize)>,
    parameters: Vec<Parameter>,
}

/// A parameter of the structured data that is wanted.
#[derive(Debug)]
struct Parameter {
    id: String,
    name: String,
    slot: usize,
}

impl SyslogLines {
    /// Takes the fields at `paths`, each to the slot of its number. Other names than those of syslog stay empty.
    pub fn new(paths: &[FieldPath]) -> SyslogLines {
        let parameters = paths.iter().enumerate().filter_map(|(slot, path)| {
            let (id, name) = parameter(path)?;
            Some(Parameter { id, name, slot })
        });
        SyslogLines { columns: wanted(&COLUMNS, paths), parameters: parameters.collect() }
    }

    /// Reads a line into `slots`, which are empty.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>]) -> Result<(), Reason> {
        self.fill(&Header::read(line)?, slots);
        Ok(())
    }

    /// Reads a line if it looks like syslog's. What begins with a time of ISO 8601 does only if a program is named
    /// (`app:`, `app[pid]:`), for many others begin so.
    #[inline]
    pub fn read_if_alike<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>]) -> bool {
        match Header::read(line) {
            Ok(header) if header.app.is_some() || !header.has_iso_stamp => {
                self.fill(&header, slots);
                true
            }
            _ => false,
        }
    }

    fn fill<'a>(&self, header: &Header<'a>, slots: &mut [Raw<'a>]) {
        let text = |text: Option<&'a [u8]>| text.map_or(Raw::Null, Raw::Text);
        let part = |number: u8| NUMBERS.get(usize::from(number)).map_or(Raw::Null, |text| Raw::Number(text));
        for (column, slot) in &self.columns {
            let value = match column {
                Column::Priority => header.priority.map_or(Raw::Null, |(text, _)| Raw::Number(text)),
                Column::Facility => header.priority.map_or(Raw::Null, |(_, priority)| part(priority / 8)),
                Column::Severity => header.priority.map_or(Raw::Null, |(_, priority)| part(priority % 8)),
                Column::Timestamp => text(header.timestamp),
                Column::Host => text(header.host),
                Column::App => text(header.app),
                Column::Pid => header.pid.map_or(Raw::Null, number_or_text),
                Column::MessageId => text(header.message_id),
                Column::StructuredData => text(header.structured_data),
                Column::Message => text(header.message),
            };
            put(slots, *slot, value);
        }
        if let (Some(data), false) = (header.structured_data, self.parameters.is_empty()) {
            structured::walk(data, |id, name, value| {
                for parameter in &self.parameters {
                    if parameter.id.as_bytes() == id && parameter.name.as_bytes() == name {
                        let value = match structured::unescape(value) {
                            None => Raw::Text(value),
                            Some(text) => made(text),
                        };
                        put(slots, parameter.slot, value);
                    }
                }
            });
        }
    }
}

/// Whether lines of syslog may have a field.
pub fn has(path: &FieldPath) -> bool {
    COLUMNS.iter().any(|(name, _)| **name == *flat(path)) || parameter(path).is_some()
}

/// The element and the name that `sd.ID.NAME` says; an id may have dots.
fn parameter(path: &FieldPath) -> Option<(String, String)> {
    match path.parts() {
        [sd, id @ .., name] if sd == "sd" && !id.is_empty() => Some((id.join("."), name.clone())),
        _ => None,
    }
}
