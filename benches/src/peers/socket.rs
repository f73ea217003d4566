//! A worker behind a bare socket pair: this program again, with the socket as its standard input. Each way goes one byte
//! that says what is wanted, a length and that many bytes.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

/// Makes this program such a worker.
pub const ARGUMENT: &str = "--socket-worker";

/// What the worker can do with the bytes that it gets.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Op {
    /// A number, plus one.
    Increment = b'i',
    /// How many there are.
    Length = b'l',
    /// As many zeros as the number says.
    Zeros = b'z',
    /// As many ones as the number says.
    Ones = b'o',
    /// Nothing, and no answer.
    Drop = b'd',
}

pub struct SocketWorker {
    stream: Option<UnixStream>,
    child: Child,
}

impl SocketWorker {
    pub fn start() -> io::Result<SocketWorker> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(std::env::current_exe()?);
        let child = command.arg(ARGUMENT).stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
        Ok(SocketWorker { stream: Some(ours), child })
    }

    pub fn call(&mut self, op: Op, argument: &[u8]) -> io::Result<Vec<u8>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        send(stream, op as u8, argument)?;
        Ok(receive(stream)?.1)
    }

    /// Sends `count` messages that `message` makes; returns when all were received.
    pub fn stream(&mut self, count: usize, message: impl Fn() -> Vec<u8>) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        for _ in 0..count {
            send(stream, Op::Drop as u8, &message())?;
        }
        self.call(Op::Length, &[]).map(|_| ())
    }
}

impl Drop for SocketWorker {
    fn drop(&mut self) {
        self.stream = None;
        let _ = self.child.wait();
    }
}

/// The worker's side; returns when the other end is closed.
pub fn serve() {
    let stdin = io::stdin().as_fd().try_clone_to_owned().expect("a socket as standard input");
    let mut stream = UnixStream::from(stdin);
    while let Ok((op, bytes)) = receive(&mut stream) {
        let result = match op {
            b'd' => continue,
            b'i' => (number(&bytes) + 1).to_le_bytes().to_vec(),
            b'l' => (bytes.len() as u64).to_le_bytes().to_vec(),
            b'z' => vec![0; number(&bytes) as usize],
            _ => vec![1; number(&bytes) as usize],
        };
        if send(&mut stream, op, &result).is_err() {
            return;
        }
    }
}

/// The number that `bytes` begin with.
pub fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn send(stream: &mut UnixStream, op: u8, bytes: &[u8]) -> io::Result<()> {
    let mut head = vec![op];
    head.extend((bytes.len() as u64).to_le_bytes());
    if bytes.len() < 4096 {
        head.extend(bytes);
        return stream.write_all(&head);
    }
    stream.write_all(&head)?;
    stream.write_all(bytes)
}

fn receive(stream: &mut UnixStream) -> io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let len = number(&head[1..]);
    let mut bytes = Vec::with_capacity(len as usize);
    if stream.take(len).read_to_end(&mut bytes)? as u64 != len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((head[0], bytes))
}
