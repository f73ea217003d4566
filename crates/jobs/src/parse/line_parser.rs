//! Reads lines of one format, and takes out the fields that somebody wants.

use std::borrow::Cow;

use super::access::{AccessLines, Server};
use super::auto::AutoLines;
use super::json::JsonLines;
use super::logfmt::LogfmtLines;
use super::names::{check, flat};
use super::regex::{LineRegex, RegexLines};
use super::syslog::{self, SyslogLines};
use super::{LineFormat, Reason};
use crate::data::json::Shape;
use crate::data::{Cell, FieldPath, Raw};

/// Names under which the time of a line is looked for where the format has none of its own.
const TIME_NAMES: [&str; 6] = ["timestamp", "@timestamp", "time", "ts", "date", "datetime"];

/// Where the time of a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeField {
    /// Where the format has it: `time_local` of nginx, `time` of Apache, `timestamp` of syslog; else in the first of
    /// `timestamp`, `@timestamp`, `time`, `ts`, `date` and `datetime` that the line has.
    Default,
    /// In this field.
    Named(FieldPath),
}

/// Reads lines of one format, and takes out the fields that somebody wants.
#[derive(Debug)]
pub struct LineParser {
    lines: Lines,
    /// The slots in which the time may be; the first that is not empty has it.
    time_slots: Vec<usize>,
    /// Fields that are asked for more than once: the slot that is filled, and the one that gets the same.
    copies: Vec<(usize, usize)>,
    slots: usize,
}

#[derive(Debug)]
enum Lines {
    Auto(Box<AutoLines>),
    Json(JsonLines),
    Logfmt(LogfmtLines),
    Access(AccessLines),
    Syslog(SyslogLines),
    Regex(Box<RegexLines>),
}

impl LineParser {
    /// A parser for lines of `format` that takes out `fields`, the value of each to the slot of its number, and the time
    /// if that is wanted.
    ///
    /// # Errors
    /// When the regex cannot be read, a field is asked for that the format never has, or one is named too deep.
    pub fn new(format: &LineFormat, fields: &[FieldPath], time: Option<&TimeField>) -> Result<LineParser, String> {
        let mut paths = fields.to_vec();
        let regex = if let LineFormat::Regex(regex) = format { Some(LineRegex::parse(regex)?) } else { None };
        let groups = regex.as_ref().map_or(&[][..], |regex| &regex.names);
        let times = match time {
            None => Vec::new(),
            Some(TimeField::Named(path)) => vec![path.clone()],
            Some(TimeField::Default) => default_times(format, groups)?,
        };
        fields.iter().chain(&times).try_for_each(|path| check_field(format, groups, path))?;
        let time_slots = times.into_iter().map(|path| {
            paths.iter().position(|known| *known == path).unwrap_or_else(|| {
                paths.push(path);
                paths.len() - 1
            })
        });
        let time_slots = time_slots.collect();
        let lines = match (format, regex) {
            (_, Some(regex)) => Lines::Regex(Box::new(RegexLines::new(regex, &paths)?)),
            (LineFormat::Json, _) => Lines::Json(JsonLines::new(&paths)?),
            (LineFormat::Logfmt, _) => Lines::Logfmt(LogfmtLines::new(&paths)),
            (LineFormat::Nginx, _) => Lines::Access(AccessLines::new(Server::Nginx, &paths)),
            (LineFormat::Apache, _) => Lines::Access(AccessLines::new(Server::Apache, &paths)),
            (LineFormat::Syslog, _) => Lines::Syslog(SyslogLines::new(&paths)),
            (LineFormat::Auto | LineFormat::Regex(_), None) => Lines::Auto(Box::new(AutoLines::new(&paths)?)),
        };
        // Of fields with one path the last is filled.
        let last = |path| paths.iter().rposition(|other| other == path);
        let copies = paths.iter().enumerate().filter_map(|(n, path)| Some((last(path)?, n))).filter(|(a, b)| a != b);
        Ok(LineParser { lines, time_slots, copies: copies.collect(), slots: paths.len() })
    }

    /// How many slots a line needs: one for each field, and behind them those in which the time may be.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Reads `line`, which has no line feed, into `slots`: each gets a value, or null where the line has none. A carriage
    /// return at the end does not belong to the line. `shape` is that of the last line read by this parser, or a new one.
    ///
    /// # Errors
    /// Why the line is not of the format. The slots have no meaning then.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>], shape: &mut Shape) -> Result<(), Reason> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        slots.iter_mut().for_each(|slot| *slot = Raw::Null);
        match &self.lines {
            Lines::Auto(lines) => lines.read(line, slots, shape)?,
            Lines::Json(lines) => lines.read(line, slots, shape)?,
            Lines::Logfmt(lines) => lines.read(line, slots)?,
            Lines::Access(lines) => lines.read(line, slots)?,
            Lines::Syslog(lines) => lines.read(line, slots)?,
            Lines::Regex(lines) => lines.read(line, slots)?,
        }
        for (from, to) in &self.copies {
            let value = slots.get(*from).cloned().unwrap_or_default();
            if let Some(slot) = slots.get_mut(*to) {
                *slot = value;
            }
        }
        Ok(())
    }

    /// The time of the line that was just read into `slots`, as it stands there: for
    /// [`Timestamp::parse`](crate::time::Timestamp::parse). [`None`] if the line has none, or none is wanted.
    pub fn time<'s>(&self, slots: &'s [Raw<'_>]) -> Option<Cow<'s, [u8]>> {
        let value = self.time_slots.iter().filter_map(|slot| slots.get(*slot)).find(|value| **value != Raw::Null)?;
        match value {
            Raw::Number(text) => Some(Cow::Borrowed(text)),
            Raw::Made(Cell::Number(text)) => Some(Cow::Borrowed(text.as_bytes())),
            value => value.text(),
        }
    }
}

/// Refuses a field that lines of `format` never have; `groups` are those of a regex.
fn check_field(format: &LineFormat, groups: &[String], path: &FieldPath) -> Result<(), String> {
    let of_server = |lines, server: Server| {
        let names: Vec<&str> = server.columns().iter().map(|(name, _)| *name).collect();
        check(lines, path, names.contains(&&*flat(path)), &names)
    };
    match format {
        LineFormat::Auto | LineFormat::Json | LineFormat::Logfmt => Ok(()),
        LineFormat::Nginx => of_server("nginx lines", Server::Nginx),
        LineFormat::Apache => of_server("Apache lines", Server::Apache),
        LineFormat::Syslog => {
            let names = syslog::COLUMNS.iter().map(|(name, _)| *name).chain(["sd.ID.NAME"]);
            check("syslog lines", path, syslog::has(path), &names.collect::<Vec<_>>())
        }
        LineFormat::Regex(_) => {
            let names: Vec<&str> = groups.iter().map(String::as_str).collect();
            check("lines of the regex", path, names.contains(&&*flat(path)), &names)
        }
    }
}

/// Where lines of `format` have their time, if nobody says.
fn default_times(format: &LineFormat, groups: &[String]) -> Result<Vec<FieldPath>, String> {
    let names = match format {
        LineFormat::Auto | LineFormat::Json | LineFormat::Logfmt => TIME_NAMES.to_vec(),
        LineFormat::Nginx => vec!["time_local"],
        LineFormat::Apache => vec!["time"],
        LineFormat::Syslog => vec!["timestamp"],
        LineFormat::Regex(_) => {
            TIME_NAMES.into_iter().filter(|name| groups.iter().any(|group| group == name)).collect()
        }
    };
    if names.is_empty() {
        return Err(format!("the regex has no group for the time: {}", TIME_NAMES.join(", ")));
    }
    Ok(names.into_iter().filter_map(|name| name.parse().ok()).collect())
}
