//! A socket pair for whole messages with file descriptors (unix(7), SOCK_SEQPACKET).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

/// Messages are control messages: short. A longer one is an error for its sender.
const MAX_MESSAGE: usize = 16 * 1024;
/// Descriptors that one message can carry (unix(7), SCM_MAX_FD).
const MAX_FDS: usize = 253;

/// One end of a socket pair.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What [`Channel::receive`] returned.
#[derive(Debug)]
pub enum Received {
    /// A message, with its descriptors in the order they were sent: the first of them only, or none, if this process may
    /// not have more.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// Nothing is there yet.
    Empty,
    /// The other end is closed.
    Closed,
}

impl Channel {
    /// Makes both ends.
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(Channel, Channel)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Channel(a), Channel(b)))
    }

    /// Takes over a descriptor that another process made with [`Channel::pair`].
    ///
    /// # Errors
    /// When it is not such a socket.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Channel> {
        if rustix::net::sockopt::socket_type(&fd)? != SocketType::SEQPACKET {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Channel(fd))
    }

    /// The descriptor itself.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Tells the other end that nothing more will be sent; messages from there can still be received.
    pub fn finish(&self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Write);
    }

    /// Sends one message; waits while the other end's buffer is full.
    ///
    /// # Errors
    /// `BrokenPipe` when the other end is closed.
    pub fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        loop {
            match self.try_send(message, fds) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => crate::poller::writable(&self.0)?,
                sent => return sent,
            }
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// As [`Channel::send`], and `WouldBlock` when the other end's buffer is full.
    pub fn try_send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if message.len() > MAX_MESSAGE || fds.len() > MAX_FDS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let iov = [IoSlice::new(message)];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match rustix::net::sendmsg(&self.0, &iov, &mut control, SendFlags::NOSIGNAL) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                // Closed with messages that it had not read.
                Err(Errno::CONNRESET) => return Err(io::ErrorKind::BrokenPipe.into()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Receives one message, without waiting.
    ///
    /// # Errors
    /// Those of recvmsg(2); a message longer than any that we send is `InvalidData`.
    pub fn receive(&self) -> io::Result<Received> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = loop {
            let mut iov = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.0, &mut iov, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Ok(got) => break got,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Received::Empty),
                Err(Errno::CONNRESET) => return Ok(Received::Closed),
                Err(e) => return Err(e.into()),
            }
        };
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(sent) = message {
                fds.extend(sent);
            }
        }
        if got.flags.contains(ReturnFlags::TRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if got.bytes == 0 && fds.is_empty() {
            return Ok(Received::Closed);
        }
        bytes.truncate(got.bytes);
        Ok(Received::Message(bytes, fds))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_keep_their_borders_and_descriptors() {
        let (a, b) = Channel::pair().unwrap();
        assert!(matches!(b.receive().unwrap(), Received::Empty));
        a.send(b"one", &[]).unwrap();
        a.send(b"two", &[std::io::stderr().as_fd()]).unwrap();
        let Received::Message(bytes, fds) = b.receive().unwrap() else { panic!("no message") };
        assert_eq!((bytes.as_slice(), fds.len()), (&b"one"[..], 0));
        let Received::Message(bytes, fds) = b.receive().unwrap() else { panic!("no message") };
        assert_eq!((bytes.as_slice(), fds.len()), (&b"two"[..], 1));
        drop(a);
        assert!(matches!(b.receive().unwrap(), Received::Closed));
        assert!(b.send(b"x", &[]).is_err());
        assert!(b.send(&[0; MAX_MESSAGE + 1], &[]).is_err());
    }

    #[test]
    fn other_descriptors_are_refused() {
        let (fd, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Channel::from_fd(fd.into()).is_err());
    }
}
