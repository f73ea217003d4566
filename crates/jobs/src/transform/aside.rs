//! Work on untrusted bytes that comes before the tasks: in a sandboxed worker of its own.

use std::cell::OnceCell;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use procession::{Pipe, Pool, Receiver, Sandbox, Sender, Task};
use serde::{Serialize, de::DeserializeOwned};
use serde_bytes::ByteBuf;

use crate::decode::{Format, HEAD_BYTES};
use crate::raw_path::RawPath;
use crate::regular::Regular;
use crate::{PlanError, TaskError, without_number};

/// Bytes that are decoded at once.
const PIECE_BYTES: usize = 256 << 10;

/// A worker that is started when there is something to do.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// What it may read.
    read: Rc<Vec<PathBuf>>,
    pool: Rc<OnceCell<Pool>>,
}

impl Aside {
    /// A worker that may read these files.
    pub fn new(read: Vec<PathBuf>) -> Aside {
        Aside { read: Rc::new(read), pool: Rc::default() }
    }

    fn pool(&self) -> Result<&Pool, procession::Error> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let sandbox = self.read.iter().fold(Sandbox::compute(), Sandbox::read);
        let builder = Pool::builder().name("transform").workers(1);
        // Unit tests have no worker processes.
        let builder = if cfg!(test) { builder.inline() } else { builder.sandbox(sandbox) };
        let pool = builder.build()?;
        Ok(self.pool.get_or_init(|| pool))
    }

    /// Runs a function there.
    ///
    /// # Errors
    /// When there is no worker, or it dies.
    pub fn run<A, R>(&self, function: fn(A) -> R, argument: A) -> Result<R, PlanError>
    where
        A: Serialize + DeserializeOwned + 'static,
        R: Serialize + DeserializeOwned + 'static,
    {
        self.pool()
            .and_then(|pool| pool.apply(function, argument))
            .map_err(|error| PlanError::new(without_number(&error)))
    }

    /// The first bytes of a compressed file, decoded.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn head(&self, path: &Path, bytes: usize) -> Result<Vec<u8>, PlanError> {
        let head = self.run(decode_head, (RawPath::from(path), bytes))?;
        head.map(ByteBuf::into_vec).map_err(PlanError::new)
    }

    /// All bytes of a compressed file, decoded while they are read. One file at a time can be.
    pub fn decode(&self, path: &Path) -> Decoded {
        Decoded { aside: self.clone(), path: path.into(), state: State::Idle, piece: Vec::new(), at: 0 }
    }
}

/// A compressed file, as its decoded bytes.
#[derive(Debug)]
pub struct Decoded {
    aside: Aside,
    path: RawPath,
    state: State,
    piece: Vec<u8>,
    at: usize,
}

#[derive(Debug)]
enum State {
    Idle,
    Running(Receiver<ByteBuf>, Task<Result<(), String>>),
    Over,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let State::Idle = self.state {
            let start = || {
                let (receiver, sender) = Pipe::one_way()?;
                let task = self.aside.pool()?.submit(decode_all, (self.path.clone(), sender))?;
                Ok(State::Running(receiver, task))
            };
            self.state = start().map_err(|error: procession::Error| io::Error::other(without_number(&error)))?;
        }
        while self.at == self.piece.len() {
            let State::Running(receiver, _) = &self.state else { return Ok(0) };
            match receiver.recv_bytes() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                // The worker has closed its end: it is done, or dead.
                Err(_) => {
                    let State::Running(_, task) = std::mem::replace(&mut self.state, State::Over) else { continue };
                    match task.wait().into_result() {
                        Ok(Ok(())) => {}
                        Ok(Err(message)) => return Err(io::Error::other(message)),
                        Err(failure) => return Err(io::Error::other(failure.to_string())),
                    }
                }
            }
        }
        let length = buffer.len().min(self.piece.len() - self.at);
        buffer[..length].copy_from_slice(&self.piece[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

impl crate::data::Source for Decoded {}

fn decoder(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = Regular::open(path)?;
    let mut head = [0; HEAD_BYTES];
    let length = file.read_head(&mut head)?;
    file.seek(0)?;
    match Format::of(&head[..length]) {
        Some(format) => format.decode(file),
        None => Ok(Box::new(file)),
    }
}

fn decode_head((path, bytes): (RawPath, usize)) -> Result<ByteBuf, String> {
    let mut head = Vec::new();
    match decoder(&path).and_then(|decoder| decoder.take(bytes as u64).read_to_end(&mut head)) {
        // What is damaged behind the first bytes is told when it is read.
        Err(cause) if head.is_empty() => Err(TaskError::io("decompress", &path, &cause).to_string()),
        _ => Ok(ByteBuf::from(head)),
    }
}

fn decode_all((path, sender): (RawPath, Sender<ByteBuf>)) -> Result<(), String> {
    let failed = |cause: io::Error| TaskError::io("decompress", &path, &cause).to_string();
    let mut decoder = decoder(&path).map_err(failed)?;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    loop {
        piece.clear();
        (&mut decoder).take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(failed)?;
        // Nobody listens any more: nobody wants the rest.
        if piece.is_empty() || sender.send_bytes(&piece).is_err() {
            return Ok(());
        }
    }
}

/// Runs a function on what workers have made of the output, in a worker that may read nothing.
///
/// # Errors
/// What the function says, or that there is no worker.
pub fn in_worker<A, R>(function: fn(A) -> Result<R, String>, argument: A, output: &Path) -> Result<R, TaskError>
where
    A: Serialize + DeserializeOwned + 'static,
    R: Serialize + DeserializeOwned + 'static,
{
    let done = Aside::new(Vec::new()).run(function, argument).map_err(|error| error.to_string());
    let failed = |reason| TaskError::new(format_args!("failed to write `{}`: {reason}", output.display()));
    done.and_then(|done| done).map_err(failed)
}
