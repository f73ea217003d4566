//! What stands before the message, in each of the forms of syslog.

use memchr::memchr;

use super::structured;
use crate::parse::Reason;
use crate::time::{read_bsd, read_iso};

/// The parts of a line; [`None`] is what it does not have, or says it does not know (`-`).
#[derive(Debug, Default)]
pub struct Header<'a> {
    /// As it is written, and as a number.
    pub priority: Option<(&'a [u8], u8)>,
    pub timestamp: Option<&'a [u8]>,
    /// Whether the time is one of ISO 8601, and not RFC 3164's own.
    pub has_iso_stamp: bool,
    pub host: Option<&'a [u8]>,
    pub app: Option<&'a [u8]>,
    pub pid: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    pub structured_data: Option<&'a [u8]>,
    pub message: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// Takes a line apart.
    #[inline]
    pub fn read(line: &'a [u8]) -> Result<Header<'a>, Reason> {
        let (priority, rest) = match line.strip_prefix(b"<") {
            Some(rest) => {
                let (text, value, rest) = read_priority(rest).ok_or("no syslog: the priority is not <0> to <191>")?;
                (Some((text, value)), rest)
            }
            None => (None, line),
        };
        let header = match after_version(rest) {
            Some(rest) if priority.is_some() => Header::of_rfc_5424(rest)?,
            _ => Header::of_rfc_3164(rest)?,
        };
        Ok(Header { priority, ..header })
    }

    /// Behind the version: time, host, app, process, kind of message, structured data, message.
    fn of_rfc_5424(rest: &'a [u8]) -> Result<Header<'a>, Reason> {
        let word = |text: &'a [u8]| word(text).ok_or("no syslog: the header of RFC 5424 ends too early");
        let (timestamp, rest) = word(rest)?;
        if timestamp != b"-" && !is_iso_stamp(timestamp) {
            return Err("no syslog: there is no time behind the version".into());
        }
        let (host, rest) = word(rest)?;
        let (app, rest) = word(rest)?;
        let (pid, rest) = word(rest)?;
        let (message_id, rest) = word(rest)?;
        let length = if rest.starts_with(b"-") { Some(1) } else { structured::walk(rest, |_, _, _| ()) };
        let (data, rest) = rest.split_at(length.ok_or("no syslog: the structured data are malformed")?);
        let message = match rest.split_first() {
            None => None,
            Some((b' ', message)) => Some(message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message)),
            Some(_) => return Err("no syslog: something stands behind the structured data".into()),
        };
        Ok(Header {
            priority: None,
            timestamp: known(timestamp),
            has_iso_stamp: true,
            host: known(host),
            app: known(app),
            pid: known(pid),
            message_id: known(message_id),
            structured_data: known(data),
            message,
        })
    }

    /// Time, host, and the program before the message. rsyslog and journalctl write times of ISO 8601 too.
    fn of_rfc_3164(text: &'a [u8]) -> Result<Header<'a>, Reason> {
        let no_time = || "no syslog: it begins with no time";
        let (length, has_iso_stamp) = match read_bsd(text) {
            Some((_, rest)) => (text.len() - rest.len(), false),
            None => {
                let (stamp, _) = word(text).filter(|(stamp, _)| is_iso_stamp(stamp)).ok_or_else(no_time)?;
                (stamp.len(), true)
            }
        };
        let (timestamp, rest) = text.split_at(length);
        let rest = rest.strip_prefix(b" ").ok_or_else(no_time)?;
        let (host, rest) = word(rest).unwrap_or((rest, b""));
        if host.is_empty() {
            return Err("no syslog: there is no host behind the time".into());
        }
        let (app, pid, message) = tag(rest);
        Ok(Header {
            timestamp: Some(timestamp),
            has_iso_stamp,
            host: known(host),
            app,
            pid,
            message: Some(message),
            ..Header::default()
        })
    }
}

/// Digits up to `>`: as text, as a number, and what follows. RFC 5424, section 6.2.1: no leading zeros, 191 at most.
fn read_priority(text: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let length = text.iter().take(4).position(|byte| *byte == b'>')?;
    let digits = &text[..length];
    let has_form = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let value = std::str::from_utf8(digits).ok().filter(|_| has_form)?.parse::<u8>().ok()?;
    (value <= 191).then(|| (digits, value, &text[length + 1..]))
}

/// What follows the version of RFC 5424 (one to three digits) and a space.
fn after_version(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take(4).position(|byte| *byte == b' ')?;
    let is_version = (1..=3).contains(&length) && text[0] != b'0' && text[..length].iter().all(u8::is_ascii_digit);
    is_version.then(|| &text[length + 1..])
}

fn is_iso_stamp(text: &[u8]) -> bool {
    text.get(10) == Some(&b'T') && read_iso(text).is_some()
}

/// `app:`, `app[pid]:` or `app[pid]` at the begin of a text; and the message behind it.
fn tag(text: &[u8]) -> (Option<&[u8]>, Option<&[u8]>, &[u8]) {
    let first = &text[..memchr(b' ', text).unwrap_or(text.len())];
    let message = |length: usize| {
        let rest = &text[length..];
        rest.strip_prefix(b" ").unwrap_or(rest)
    };
    if let Some(open) = memchr(b'[', first).filter(|open| *open > 0)
        && let Some(length) = memchr(b']', &first[open..])
        && let close = open + length
        && let Some(end) = match first.get(close + 1) {
            None => Some(close + 1),
            Some(b':') => Some(close + 2),
            Some(_) => None,
        }
    {
        let pid = Some(&first[open + 1..close]).filter(|pid| !pid.is_empty());
        return (Some(&first[..open]), pid, message(end));
    }
    match first.strip_suffix(b":") {
        Some(app) if !app.is_empty() && !app.starts_with(b"[") => (Some(app), None, message(first.len())),
        _ => (None, None, text),
    }
}

/// A word that is not empty, and what follows the space behind it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr(b' ', text).filter(|space| *space > 0)?;
    Some((&text[..space], &text[space + 1..]))
}

fn known(text: &[u8]) -> Option<&[u8]> {
    (text != b"-").then_some(text)
}
