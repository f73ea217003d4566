//! One end of a socket pair that carries whole messages: their length, eight bytes, then that many bytes. Handles lie
//! beside the first of them.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use procession_os::{finish_stream, is_stream, receive_stream, send_stream, stream_pair};
use serde::de::{DeserializeOwned, Error as _};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::{self, Descriptor, MAX_HANDLES};
use crate::wire::{self, Bytes};
use crate::{Error, ErrorKind};

/// A longer message is an error, and a longer length a broken peer.
pub(crate) const MAX_MESSAGE: u64 = 16 << 30;
const HEAD: usize = 8;
/// Some ten microseconds: each look is a system call.
const LOOKS: usize = 20;
/// So much more than what has arrived is asked of the allocator, or as much again, whatever length a peer has told.
const STEP: usize = 1 << 20;

/// An end. Messages of several threads do not mix.
#[derive(Debug)]
pub(crate) struct Link {
    descriptor: Descriptor,
    /// How much more than a head is asked for at once.
    ahead: usize,
    incoming: Mutex<Incoming>,
    outgoing: Mutex<()>,
}

/// What has arrived of a message.
#[derive(Debug, Default)]
struct Incoming {
    head: Vec<u8>,
    body: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Link {
    pub fn pair() -> Result<(Link, Link), Error> {
        let (a, b) = stream_pair().map_err(|e| Error::create("a pipe", e))?;
        Ok((Link::new(a.into()), Link::new(b.into())))
    }

    /// Takes over a descriptor that another process made with [`Link::pair`].
    pub fn from_fd(fd: OwnedFd) -> io::Result<Link> {
        if is_stream(&fd) { Ok(Link::new(fd.into())) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// For ends that never have more than one message on its way to them, as those who call and those who answer: a short
    /// one comes with one system call. Otherwise bytes, and handles, of the next message could come along.
    pub fn taking_turns(self) -> Link {
        Link { ahead: 4096, ..self }
    }

    /// Tells the other end that nothing more will be sent.
    pub fn finish(&self) {
        finish_stream(&self.descriptor);
    }

    fn new(descriptor: Descriptor) -> Link {
        Link { descriptor, ahead: 0, incoming: Mutex::default(), outgoing: Mutex::default() }
    }

    pub fn send<T: Serialize + 'static>(&self, value: T) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let handles = wire::encode_argument(value, &mut bytes)
            .map_err(|e| Error::new(ErrorKind::BadArgument, format!("failed to encode a message: {e}")))?;
        let fds: Vec<BorrowedFd<'_>> = handles.iter().map(AsFd::as_fd).collect();
        self.send_bytes(&bytes, &fds)
    }

    pub fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        if bytes.len() as u64 > MAX_MESSAGE {
            let message = format!("failed to send: a message may have {MAX_MESSAGE} bytes, this has {}", bytes.len());
            return Err(Error::new(ErrorKind::BadArgument, message));
        }
        let head = (bytes.len() as u64).to_le_bytes();
        let (mut sent, mut fds) = (0, fds);
        let _turn = lock(&self.outgoing);
        while sent < HEAD + bytes.len() {
            let parts = [IoSlice::new(&head[sent.min(HEAD)..]), IoSlice::new(&bytes[sent.saturating_sub(HEAD)..])];
            match send_stream(&self.descriptor, &parts, fds) {
                Ok(count) => sent += count,
                Err(e) => {
                    if sent > 0 {
                        // The next message's head would be taken for the rest of this one.
                        finish_stream(&self.descriptor);
                    }
                    return Err(not_sent(e));
                }
            }
            fds = &[];
        }
        Ok(())
    }

    pub fn receive<T: DeserializeOwned + 'static>(&self, timeout: Option<Duration>) -> Result<T, Error> {
        let (bytes, fds) = self.receive_bytes(timeout)?;
        wire::decode_argument(Bytes::Owned(bytes), fds)
            .map_err(|e| Error::new(ErrorKind::BadArgument, format!("failed to decode a message: {e}")))
    }

    /// The next message. What has come of it when the time runs out is kept for the next call.
    pub fn receive_bytes(&self, timeout: Option<Duration>) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        let Some(mut incoming) = lock_until(&self.incoming, deadline) else {
            return Err(Incoming::default().late(timeout));
        };
        loop {
            let len = incoming.len();
            let Incoming { head, body, fds } = &mut *incoming;
            let result = match len {
                None => {
                    if self.ahead > 0 {
                        self.look_around();
                    }
                    let wanted = HEAD + self.ahead - head.len();
                    let received = receive_stream(&self.descriptor, wanted, head, Some(fds), deadline);
                    *body = head.split_off(head.len().min(HEAD));
                    received
                }
                Some(len) if len > MAX_MESSAGE => {
                    let cause = format!("a message of {len} bytes was announced, more than {MAX_MESSAGE}");
                    return Err(Error::io(RECEIVE, io::Error::new(io::ErrorKind::InvalidData, cause)));
                }
                Some(len) if len == body.len() as u64 => break,
                Some(len) if len < body.len() as u64 => {
                    let cause = "the other end does not take turns";
                    return Err(Error::io(RECEIVE, io::Error::new(io::ErrorKind::InvalidData, cause)));
                }
                Some(len) => {
                    let rest = len - body.len() as u64;
                    let piece = rest.min(STEP.max(body.len()) as u64) as usize;
                    receive_stream(&self.descriptor, piece, body, None, deadline)
                }
            };
            fds.truncate(MAX_HANDLES);
            match result {
                Ok(0) => return Err(incoming.end()),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::TimedOut => return Err(incoming.late(timeout)),
                Err(e) => return Err(Error::io(RECEIVE, e)),
            }
        }
        let Incoming { body, fds, .. } = std::mem::take(&mut *incoming);
        Ok((body, fds))
    }

    /// Waits without sleeping, for about as long as a short call takes: to sleep and be woken takes twice that.
    fn look_around(&self) {
        let is_there = |_| procession_os::readable(&self.descriptor, Some(Duration::ZERO)).unwrap_or(true);
        let _ = (0..LOOKS).any(is_there);
    }

    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        procession_os::readable(&self.descriptor, Some(timeout)).map_err(|e| Error::io("wait for a pipe", e))
    }
}

const RECEIVE: &str = "receive from a pipe";
const CUT_OFF: &str =
    "failed to receive: the process at the other end of the pipe was killed, or failed, in the middle of a message";

impl Incoming {
    /// The length of the message, once that is known.
    fn len(&self) -> Option<u64> {
        self.head.first_chunk().map(|head| u64::from_le_bytes(*head))
    }

    fn end(&self) -> Error {
        match self.len() {
            None if self.head.is_empty() => {
                Error::new(ErrorKind::EndOfStream, "failed to receive: the other end of the pipe is closed")
            }
            None => Error::new(ErrorKind::Io, CUT_OFF),
            Some(len) => {
                Error::new(ErrorKind::Io, format!("{CUT_OFF}: {} of {len} bytes have arrived", self.body.len()))
            }
        }
    }

    fn late(&self, timeout: Option<Duration>) -> Error {
        let what = if self.head.is_empty() { "no message" } else { "only part of a message" };
        let message = format!("failed to receive: {what} has come within {:?}", timeout.unwrap_or_default());
        Error::new(ErrorKind::Timeout, message)
    }
}

fn not_sent(cause: io::Error) -> Error {
    if cause.kind() == io::ErrorKind::BrokenPipe {
        return Error::new(ErrorKind::EndOfStream, "failed to send: the other end of the pipe is closed");
    }
    Error::io("send through a pipe", cause)
}

/// As [`lock`]; none if another thread has it until `deadline`: it may wait for a message without end.
fn lock_until<T>(mutex: &Mutex<T>, deadline: Option<Instant>) -> Option<MutexGuard<'_, T>> {
    let Some(deadline) = deadline else { return Some(lock(mutex)) };
    loop {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(guard)) => return Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// What a thread that panicked leaves behind is whole: every step is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !lock(&self.incoming).head.is_empty() {
            return Err(S::Error::custom(handle::note(
                "part of a message has come to this end of a pipe: receive the rest first".to_string(),
            )));
        }
        self.descriptor.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Link, D::Error> {
        let descriptor = Descriptor::deserialize(deserializer)?;
        if !is_stream(&descriptor) {
            return Err(D::Error::custom(handle::note("what was passed is no end of a pipe".to_string())));
        }
        Ok(Link::new(descriptor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Sending;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// A link, and the bare socket at its other end.
    fn with_socket() -> (Link, UnixStream) {
        let (link, other) = Link::pair().unwrap();
        (link, UnixStream::from(other.as_fd().try_clone_to_owned().unwrap()))
    }

    fn soon() -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    #[test]
    fn a_message_is_eight_bytes_of_length_and_itself() {
        let (link, mut socket) = with_socket();
        link.send(0x0102u16).unwrap();
        let mut bytes = [0; 10];
        socket.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [2, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        socket.write_all(&bytes).unwrap();
        assert_eq!(link.receive::<u16>(None).unwrap(), 0x0102);
    }

    #[test]
    fn a_message_may_come_byte_by_byte_and_late() {
        let (link, mut socket) = with_socket();
        for byte in [3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b'] {
            let error = link.receive_bytes(soon()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
            socket.write_all(&[byte]).unwrap();
        }
        assert!(link.receive_bytes(soon()).unwrap_err().to_string().contains("part of a message"));
        let sending = Sending::begin();
        assert!(postcard::to_stdvec(&link).is_err());
        drop(sending);
        socket.write_all(b"c").unwrap();
        assert_eq!(link.receive_bytes(soon()).unwrap().0, b"abc");
    }

    #[test]
    fn a_time_runs_out_beside_a_thread_that_waits_for_ever() {
        let (link, mut socket) = with_socket();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| link.receive::<u8>(None));
            while link.incoming.try_lock().is_ok() {
                std::thread::yield_now();
            }
            assert_eq!(link.receive_bytes(soon()).unwrap_err().kind(), ErrorKind::Timeout);
            socket.write_all(&[1, 0, 0, 0, 0, 0, 0, 0, 9]).unwrap();
            assert_eq!(waits.join().unwrap().unwrap(), 9);
        });
    }

    #[test]
    fn the_middle_of_a_message_is_no_clean_end() {
        for sent in [&[][..], &[3], &[3, 0, 0, 0, 0, 0, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0, 1, 2]] {
            let (link, mut socket) = with_socket();
            socket.write_all(sent).unwrap();
            drop(socket);
            for _ in 0..2 {
                let error = link.receive::<u8>(None).unwrap_err();
                assert_eq!(error.is_end_of_stream(), sent.is_empty(), "{error}");
                assert_eq!(error.to_string().contains("in the middle of a message"), !sent.is_empty(), "{error}");
            }
        }
    }

    #[test]
    fn a_length_sizes_no_allocation() {
        let (link, mut socket) = with_socket();
        socket.write_all(&MAX_MESSAGE.to_le_bytes()).unwrap();
        socket.write_all(&[7; 1000]).unwrap();
        assert_eq!(link.receive_bytes(soon()).unwrap_err().kind(), ErrorKind::Timeout);
        let incoming = lock(&link.incoming);
        assert!(incoming.body.len() == 1000 && incoming.body.capacity() <= 1000 + STEP);
        drop(incoming);
        let (link, mut socket) = with_socket();
        socket.write_all(&(MAX_MESSAGE + 1).to_le_bytes()).unwrap();
        for _ in 0..2 {
            assert_eq!(link.receive_bytes(None).unwrap_err().kind(), ErrorKind::Io);
        }
    }

    #[test]
    fn messages_of_several_threads_do_not_mix() {
        let (a, b) = Link::pair().unwrap();
        let len = |n: u8| 1 + 40_000 * usize::from(n);
        std::thread::scope(|scope| {
            for n in 0..8u8 {
                let a = &a;
                scope.spawn(move || (0..5).for_each(|_| a.send(vec![n; len(n)]).unwrap()));
            }
            let mut count = [0; 8];
            for _ in 0..40 {
                let bytes: Vec<u8> = b.receive(None).unwrap();
                assert!(bytes.len() == len(bytes[0]) && bytes.iter().all(|&n| n == bytes[0]));
                count[usize::from(bytes[0])] += 1;
            }
            assert_eq!(count, [5; 8]);
        });
    }
}
