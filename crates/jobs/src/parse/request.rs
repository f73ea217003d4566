//! The first line of a request, as access logs have it: `GET /index.html?a=b HTTP/1.1`.

use memchr::{memchr, memrchr};

/// The parts of a request line ([RFC 9112, section 3](https://www.rfc-editor.org/rfc/rfc9112#section-3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    pub method: &'a [u8],
    /// What was asked for, with the query.
    pub uri: &'a [u8],
    /// `HTTP/1.1`; HTTP/0.9 has none.
    pub protocol: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Takes a request line apart; [`None`] if it is none: clients send what they like. Spaces that do not belong there are
    /// part of the URI.
    #[inline]
    pub fn split(line: &'a [u8]) -> Option<Request<'a>> {
        let space = memchr(b' ', line)?;
        let (method, rest) = (&line[..space], &line[space + 1..]);
        let (uri, protocol) = match memrchr(b' ', rest) {
            Some(space) if rest[space + 1..].starts_with(b"HTTP/") => (&rest[..space], Some(&rest[space + 1..])),
            _ if rest.starts_with(b"/") => (rest, None),
            _ => return None,
        };
        (!method.is_empty() && method.iter().all(|byte| is_token(*byte)) && !uri.is_empty()).then_some(Request {
            method,
            uri,
            protocol,
        })
    }

    /// The URI up to the query.
    pub fn path(&self) -> &'a [u8] {
        memchr(b'?', self.uri).map_or(self.uri, |at| &self.uri[..at])
    }

    /// What follows the question mark.
    pub fn query(&self) -> Option<&'a [u8]> {
        memchr(b'?', self.uri).map(|at| &self.uri[at + 1..])
    }
}

/// RFC 9110, section 5.6.2: what a method is made of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_parts() {
        for (line, method, uri, protocol) in [
            ("GET / HTTP/1.1", "GET", "/", Some("HTTP/1.1")),
            ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*", Some("HTTP/1.1")),
            ("CONNECT a:443 HTTP/2.0", "CONNECT", "a:443", Some("HTTP/2.0")),
            ("GET /a b?c d HTTP/1.0", "GET", "/a b?c d", Some("HTTP/1.0")),
            ("GET /old", "GET", "/old", None),
            ("GET /HTTP/ a", "GET", "/HTTP/ a", None),
        ] {
            let (method, uri) = (method.as_bytes(), uri.as_bytes());
            let expected = Request { method, uri, protocol: protocol.map(str::as_bytes) };
            assert_eq!(Request::split(line.as_bytes()), Some(expected), "{line}");
        }
        for line in
            ["", "-", "GET", " / HTTP/1.1", r"\x16\x03 /", "GET HTTP/1.1", "GET  HTTP/1.1", "hello world", "G(T /"]
        {
            assert_eq!(Request::split(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn a_query_is_behind_the_first_question_mark() {
        let split = |line| Request::split(line).map(|request| (request.path(), request.query())).unwrap();
        assert_eq!(split(b"GET /a?b?c HTTP/1.1"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(split(b"GET /a? HTTP/1.1"), (&b"/a"[..], Some(&b""[..])));
        assert_eq!(split(b"GET /a HTTP/1.1"), (&b"/a"[..], None));
    }
}
