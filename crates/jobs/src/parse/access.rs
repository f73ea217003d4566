//! Access logs of nginx and Apache, which name the same columns in their own ways.
//!
//! nginx: [`combined`](https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format). Apache:
//! [common and combined](https://httpd.apache.org/docs/current/logs.html#accesslog), and `vhost_combined`
//! (`%v:%p` before it), as its packages for Debian define it. Of all of them the brackets and quotes are found first: the
//! user's name may contain spaces, and both servers escape the quotes that a client sends.

use memchr::{memchr, memrchr};

use super::Reason;
use super::names::wanted;
use super::request::Request;
use super::value::{escaped, number_or_text, put, quoted};
use crate::data::{FieldPath, Raw};

/// Whose lines they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    Nginx,
    Apache,
    /// Of one or the other: the names of both are known.
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    VirtualHost,
    Host,
    Ident,
    User,
    Time,
    Request,
    Method,
    Uri,
    Path,
    Query,
    Protocol,
    Status,
    Bytes,
    Referer,
    UserAgent,
}

/// Names by nginx, and what is taken out of its `request`.
const NGINX: [(&str, Column); 13] = [
    ("remote_addr", Column::Host),
    ("remote_user", Column::User),
    ("time_local", Column::Time),
    ("request", Column::Request),
    ("method", Column::Method),
    ("uri", Column::Uri),
    ("path", Column::Path),
    ("query", Column::Query),
    ("protocol", Column::Protocol),
    ("status", Column::Status),
    ("body_bytes_sent", Column::Bytes),
    ("http_referer", Column::Referer),
    ("http_user_agent", Column::UserAgent),
];

/// Names after Apache's documentation of its formats.
const APACHE: [(&str, Column); 15] = [
    ("vhost", Column::VirtualHost),
    ("host", Column::Host),
    ("ident", Column::Ident),
    ("user", Column::User),
    ("time", Column::Time),
    ("request", Column::Request),
    ("method", Column::Method),
    ("uri", Column::Uri),
    ("path", Column::Path),
    ("query", Column::Query),
    ("protocol", Column::Protocol),
    ("status", Column::Status),
    ("bytes", Column::Bytes),
    ("referer", Column::Referer),
    ("user_agent", Column::UserAgent),
];

impl Server {
    /// The columns by their names. Those of nginx come first.
    pub fn columns(self) -> Vec<(&'static str, Column)> {
        match self {
            Server::Nginx => NGINX.to_vec(),
            Server::Apache => APACHE.to_vec(),
            Server::Either => NGINX.into_iter().chain(APACHE).collect(),
        }
    }
}

/// Reads lines of an access log.
#[derive(Debug)]
pub struct AccessLines {
    server: Server,
    columns: Vec<(Column, usize)>,
    wants_request: bool,
}

impl AccessLines {
    /// Takes the fields at `paths`, each to the slot of its number. Other names than those of the server stay empty.
    pub fn new(server: Server, paths: &[FieldPath]) -> AccessLines {
        use Column::{Method, Path, Protocol, Query, Uri};
        let columns = wanted(&server.columns(), paths);
        let wants_request = columns.iter().any(|(column, _)| [Method, Uri, Path, Query, Protocol].contains(column));
        AccessLines { server, columns, wants_request }
    }

    /// Reads a line into `slots`, which are empty.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>]) -> Result<(), Reason> {
        let line = Line::split(line, self.server == Server::Nginx)?;
        let request = if self.wants_request { Request::split(line.request) } else { None };
        for (column, slot) in &self.columns {
            let text = match column {
                Column::VirtualHost => line.virtual_host,
                Column::Host => Some(line.host),
                Column::Ident => Some(line.ident),
                Column::User => Some(line.user),
                Column::Time => Some(line.time),
                Column::Request => Some(line.request),
                Column::Method => request.map(|request| request.method),
                Column::Uri => request.map(|request| request.uri),
                Column::Path => request.map(|request| request.path()),
                Column::Query => request.and_then(|request| request.query()),
                Column::Protocol => request.and_then(|request| request.protocol),
                Column::Status => Some(line.status),
                Column::Bytes => Some(line.bytes),
                Column::Referer => line.referer,
                Column::UserAgent => line.user_agent,
            };
            let value = match (column, text) {
                (_, None | Some(b"-")) => Raw::Null,
                (Column::Status | Column::Bytes, Some(text)) => number_or_text(text),
                (_, Some(text)) => escaped(text),
            };
            put(slots, *slot, value);
        }
        Ok(())
    }
}

/// The parts of a line as they stand there.
#[derive(Debug)]
struct Line<'a> {
    virtual_host: Option<&'a [u8]>,
    host: &'a [u8],
    ident: &'a [u8],
    user: &'a [u8],
    time: &'a [u8],
    request: &'a [u8],
    status: &'a [u8],
    bytes: &'a [u8],
    referer: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    /// Takes a line apart. Whatever follows the last of its columns is passed over.
    #[inline]
    fn split(line: &'a [u8], has_referer: bool) -> Result<Line<'a>, Reason> {
        // Apache writes a quote in the name of a user with a backslash before it.
        let (head, rest) = quoted(line).ok_or("no access log: there is no request in quotes")?;
        let (who, time) = stamped(head).ok_or("no access log: there is no [time] before the request")?;
        let (virtual_host, host, ident, user) = split_who(who).ok_or("no access log: it begins with no client")?;
        let (request, rest) = quoted(rest).ok_or("no access log: the request is not closed")?;
        let (status, rest) = number(rest).ok_or("no access log: there is no status behind the request")?;
        let (bytes, rest) = number(rest).ok_or("no access log: there is no size behind the status")?;
        let mut line =
            Line { virtual_host, host, ident, user, time, request, status, bytes, referer: None, user_agent: None };
        if has_referer || rest.starts_with(b" \"") {
            let (referer, rest) = header(rest).ok_or("no access log: there is no referer in quotes")?;
            let (user_agent, rest) = header(rest).ok_or("no access log: there is no user agent in quotes")?;
            if !matches!(rest.first(), None | Some(b' ')) {
                return Err("no access log: something stands behind a quote".into());
            }
            (line.referer, line.user_agent) = (Some(referer), Some(user_agent));
        }
        Ok(line)
    }
}

/// What stands before the request: who, and `dd/Mon/yyyy:hh:mm:ss +hhmm` in brackets.
#[inline]
fn stamped(head: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = head.strip_suffix(b"] ")?;
    let (who, time) = head.split_at(memrchr(b'[', head)?);
    let time = &time[1..];
    let has_shape = time.len() == 26 && time[2] == b'/' && time[6] == b'/' && time[11] == b':' && time[20] == b' ';
    has_shape.then_some((who.strip_suffix(b" ")?, time))
}

type Who<'a> = (Option<&'a [u8]>, &'a [u8], &'a [u8], &'a [u8]);

/// `host ident user`, or that behind `vhost:port`.
#[inline]
fn split_who(who: &[u8]) -> Option<Who<'_>> {
    let (first, rest) = word(who)?;
    let (second, user) = word(rest)?;
    if is_virtual_host(first)
        && let Some((ident, user)) = word(user)
    {
        return Some((Some(first), second, ident, user));
    }
    Some((None, first, second, user))
}

/// Whether it is `name:port`. An IPv6 address, which a client may have, has brackets in the name of a host.
fn is_virtual_host(text: &[u8]) -> bool {
    let Some(colon) = memrchr(b':', text) else { return false };
    let (name, port) = (&text[..colon], &text[colon + 1..]);
    let has_port = !port.is_empty() && port.iter().all(u8::is_ascii_digit);
    has_port && !name.is_empty() && (memchr(b':', name).is_none() || name.starts_with(b"[") && name.ends_with(b"]"))
}

/// A word, and what follows the space behind it: neither is empty.
#[inline]
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr(b' ', text)?;
    (space > 0 && space + 1 < text.len()).then(|| (&text[..space], &text[space + 1..]))
}

/// Digits, or a hyphen, behind a space; and what follows.
#[inline]
fn number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b" ")?;
    let (number, rest) = text.split_at(text.iter().position(|byte| *byte == b' ').unwrap_or(text.len()));
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit) || number == b"-";
    is_number.then_some((number, rest))
}

/// A text in quotes behind a space, and what follows.
#[inline]
fn header(text: &[u8]) -> Option<(&[u8], &[u8])> {
    quoted(text.strip_prefix(b" \"")?)
}
