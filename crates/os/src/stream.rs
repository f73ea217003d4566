//! A socket pair for a stream of bytes with file descriptors beside them (unix(7), SOCK_STREAM).
//!
//! The sockets are blocking, and what must not wait says so call by call (MSG_DONTWAIT): the mode of a socket belongs to
//! all processes that have it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

/// Descriptors that can travel beside one piece (unix(7), SCM_MAX_FD).
const MAX_FDS: usize = 253;

/// Makes both ends.
///
/// # Errors
/// Those of socketpair(2).
pub fn stream_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Whether this is such a socket.
pub fn is_stream(fd: impl AsFd) -> bool {
    use rustix::net::sockopt;
    let fd = fd.as_fd();
    sockopt::socket_type(fd) == Ok(SocketType::STREAM) && sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
}

/// Tells the other end that nothing more will be sent.
pub fn finish_stream(fd: impl AsFd) {
    let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Write);
}

/// Sends some of the bytes of `parts`, and all descriptors with the first of them; waits while the other end's buffer is
/// full. Returns how many bytes.
///
/// # Errors
/// `BrokenPipe` when the other end is closed, `InvalidInput` for more descriptors than the kernel passes at once, and
/// those of sendmsg(2).
pub fn send_stream(fd: impl AsFd, parts: &[IoSlice<'_>], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if fds.len() > MAX_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    loop {
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match rustix::net::sendmsg(&fd, parts, &mut control, SendFlags::NOSIGNAL) {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            // Somebody has changed the mode of the socket.
            Err(Errno::AGAIN) => crate::poller::writable(&fd)?,
            // Closed with bytes that it had not read.
            Err(Errno::CONNRESET) => return Err(io::ErrorKind::BrokenPipe.into()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Appends at most `max` bytes to `out`, as soon as there are any, and returns how many: none at the end of the stream.
/// What lies beside them goes to `fds`, if it is wanted, and is closed otherwise; if this process may not have more
/// descriptors, only the first come.
///
/// # Errors
/// `TimedOut` at `deadline`, `OutOfMemory`, and those of recvmsg(2).
pub fn receive_stream(
    fd: impl AsFd,
    max: usize,
    out: &mut Vec<u8>,
    fds: Option<&mut Vec<OwnedFd>>,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    out.try_reserve_exact(max).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let flags = if deadline.is_some() { RecvFlags::DONTWAIT } else { RecvFlags::empty() } | RecvFlags::CMSG_CLOEXEC;
    let mut fds = fds;
    loop {
        let got = match fds.as_deref_mut() {
            Some(fds) => receive_with_fds(&fd, max, out, fds, flags),
            None => receive_plain(&fd, max, out, flags),
        };
        match got {
            Ok(count) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                if !crate::readable(&fd, left)? {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            // Closed with bytes that it had not read; all that it has sent is read by now.
            Err(Errno::CONNRESET) => return Ok(0),
            Err(e) => return Err(e.into()),
        }
    }
}

/// `out` has room for `max` more bytes.
fn receive_plain(fd: &impl AsFd, max: usize, out: &mut Vec<u8>, flags: RecvFlags) -> Result<usize, Errno> {
    let room = &mut out.spare_capacity_mut()[..max];
    let ((filled, _), _) = rustix::net::recv(fd, room, flags)?;
    let count = filled.len();
    // SAFETY: recv(2) has written the first `count` bytes of the room behind the vector's length.
    unsafe { out.set_len(out.len() + count) };
    Ok(count)
}

fn receive_with_fds(
    fd: &impl AsFd,
    max: usize,
    out: &mut Vec<u8>,
    fds: &mut Vec<OwnedFd>,
    flags: RecvFlags,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let before = out.len();
    out.resize(before + max, 0);
    let got = rustix::net::recvmsg(fd, &mut [IoSliceMut::new(&mut out[before..])], &mut control, flags);
    out.truncate(before + got.as_ref().map_or(0, |got| got.bytes));
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    got.map(|got| got.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn send_all(fd: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        assert_eq!(send_stream(fd, &[IoSlice::new(bytes)], fds).unwrap(), bytes.len());
    }

    #[test]
    fn bytes_come_with_what_lies_beside_them() {
        let (a, b) = stream_pair().unwrap();
        assert!(is_stream(&a) && !is_stream(std::io::pipe().unwrap().0));
        let soon = || Some(Instant::now() + Duration::from_millis(1));
        let late = receive_stream(&b, 4, &mut Vec::new(), None, soon()).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        send_all(&a, b"head", &[a.as_fd(), b.as_fd()]);
        send_all(&a, b"body", &[]);
        let (mut bytes, mut fds) = (vec![b'>'], Vec::new());
        assert_eq!(receive_stream(&b, 3, &mut bytes, Some(&mut fds), None).unwrap(), 3);
        assert_eq!((bytes.as_slice(), fds.len()), (&b">hea"[..], 2));
        drop(fds);
        while bytes.len() < 8 {
            receive_stream(&b, 8 - bytes.len(), &mut bytes, None, soon()).unwrap();
        }
        assert_eq!(bytes, b">headbod");
        finish_stream(&a);
        assert_eq!(receive_stream(&b, 8, &mut bytes, None, None).unwrap(), 1);
        assert_eq!(receive_stream(&b, 8, &mut bytes, None, None).unwrap(), 0);
        assert_eq!(receive_stream(&b, 8, &mut bytes, Some(&mut Vec::new()), soon()).unwrap(), 0);
        assert_eq!(bytes, b">headbody");
    }

    #[test]
    fn a_socket_that_somebody_made_nonblocking_still_waits() {
        let (a, b) = stream_pair().unwrap();
        crate::set_nonblocking(&a).unwrap();
        crate::set_nonblocking(&b).unwrap();
        let sent = vec![7; 3 << 20];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut at = 0;
                while at < sent.len() {
                    at += send_stream(&a, &[IoSlice::new(&sent[at..])], &[]).unwrap();
                }
            });
            let mut bytes = Vec::new();
            while bytes.len() < sent.len() {
                receive_stream(&b, 1 << 16, &mut bytes, None, None).unwrap();
            }
            assert_eq!(bytes, sent);
        });
    }

    #[test]
    fn a_closed_end_is_told_whatever_it_has_left_unread() {
        for unread in [&b""[..], b"unread"] {
            let (a, b) = stream_pair().unwrap();
            send_all(&b, b"last", &[]);
            if !unread.is_empty() {
                send_all(&a, unread, &[]);
            }
            drop(b);
            let error = send_stream(&a, &[IoSlice::new(b"x")], &[]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            let mut bytes = Vec::new();
            while receive_stream(&a, 9, &mut bytes, None, None).unwrap() > 0 {}
            assert_eq!(bytes, b"last");
        }
        let many = vec![a_descriptor(); MAX_FDS + 1];
        let many: Vec<_> = many.iter().map(AsFd::as_fd).collect();
        let (a, _b) = stream_pair().unwrap();
        let error = send_stream(&a, &[IoSlice::new(b"x")], &many).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    fn a_descriptor() -> BorrowedFd<'static> {
        rustix::stdio::stderr()
    }
}
