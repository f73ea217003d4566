//! One child process that runs one function: Python's `Process`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use procession_os::{Call, ImageId, OutsideImage, Plain, Segment, Shim};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::supervisor::{End, Event, Lease, Notice, Request, Role};
use crate::wire::{self, Bytes};
use crate::{Error, ErrorKind, StartMethod, init};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// A lease serves one process here, so any number will do.
const ID: u64 = 1;

const MAGIC: u64 = u64::from_le_bytes(*b"procCALL");
const AT_IMAGE: usize = 8;
const AT_CALL: usize = 40;
const AT_LEN: usize = 56;
const AT_ARGUMENT: usize = 64;

/// A child process that runs one function: Python's `Process`.
///
/// It ends when the function returns (exit code 0) or panics (101), or by [`std::process::exit`]. Its standard input is
/// `/dev/null`, its standard output and error are the program's. It ends with the program, whatever happens to that, and
/// with it all that it started.
///
/// Dropping a `Process` waits for it, or, for a [`daemon`](ProcessBuilder::daemon), kills it.
///
/// # Examples
/// ```
/// use procession::Process;
///
/// fn greet(name: String) {
///     println!("hello, {name}");
/// }
///
/// fn main() -> Result<(), procession::Error> {
///     procession::init();
///     let mut process = Process::spawn(greet, "ops".to_string())?;
///     assert!(process.join()?.success());
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Process {
    lease: Lease,
    name: String,
    pid: u32,
    is_daemon: bool,
    end: Option<End>,
}

/// Settings for a new [`Process`]; [`Process::builder`] makes one.
#[derive(Debug, Clone, Default)]
pub struct ProcessBuilder {
    name: Option<String>,
    is_daemon: bool,
    method: StartMethod,
}

impl ProcessBuilder {
    /// Its name in process listings, cut to 15 bytes. Default: `process`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into().replace('\0', ""));
        self
    }

    /// Whether dropping the handle kills the process, instead of waiting for it. Default: false.
    pub fn daemon(mut self, is_daemon: bool) -> Self {
        self.is_daemon = is_daemon;
        self
    }

    /// How it comes to life. Default: [`StartMethod::ForkServer`].
    pub fn start_method(mut self, method: StartMethod) -> Self {
        self.method = method;
        self
    }

    /// Starts the process, which calls `function` with `argument`.
    ///
    /// # Errors
    /// [`ErrorKind::NotInitialized`] without [`init`](crate::init), [`ErrorKind::BadArgument`] if the argument cannot be
    /// encoded, [`ErrorKind::OutsideImage`] for a function of a shared library, [`ErrorKind::Start`] if the system
    /// refuses.
    pub fn spawn<A>(self, function: fn(A), argument: A) -> Result<Process, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        init::check()?;
        let call = Call::<Once>::new::<RunOnce, _>(Plain(function)).map_err(|OutsideImage| Error::outside_image())?;
        let mut bytes = Vec::new();
        let handles = wire::encode_argument(argument, &mut bytes).map_err(|e| {
            Error::new(ErrorKind::BadArgument, format!("failed to encode the argument of the process: {e}"))
        })?;
        let name = self.name.unwrap_or_else(|| "process".to_string());
        let cannot = |e: io::Error| Error::start(&format!("process `{name}`"), e);
        let fd = write_call(call, &bytes).map_err(cannot)?;
        let lease = Lease::open().map_err(cannot)?;
        let role = Role::Process { handles: handles.len() as u16 };
        let request = Request::Start { id: ID, name: name.clone(), method: self.method, role, memory_bytes: None };
        let fds: Vec<_> = std::iter::once(fd.as_fd()).chain(handles.iter().map(AsFd::as_fd)).collect();
        match lease.send(&request, &fds) {
            // The supervisor has just ended: the lease will tell.
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(cannot(e)),
            _ => {}
        }
        let mut process = Process { lease, name, pid: 0, is_daemon: self.is_daemon, end: None };
        process.wait_for_start()?;
        Ok(process)
    }
}

impl Process {
    /// Starts a process with the defaults of [`Process::builder`]. Dropping it waits for its end, unless it is a
    /// [daemon](ProcessBuilder::daemon), which is killed.
    ///
    /// # Errors
    /// As [`ProcessBuilder::spawn`].
    pub fn spawn<A>(function: fn(A), argument: A) -> Result<Process, Error>
    where
        A: Serialize + DeserializeOwned + 'static,
    {
        Process::builder().spawn(function, argument)
    }

    /// Settings for a new process.
    pub fn builder() -> ProcessBuilder {
        ProcessBuilder::default()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether dropping this handle kills the process.
    pub fn is_daemon(&self) -> bool {
        self.is_daemon
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.exit_status().is_none()
    }

    /// How it ended; None while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        while self.end.is_none()
            && let Some(event) = self.lease.receive()
        {
            self.take(event);
        }
        self.end.map(End::exit_status)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// [`ErrorKind::Start`] if waiting itself fails (poll(2)).
    pub fn join(&mut self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.join_timeout(Duration::from_secs(3600))? {
                return Ok(status);
            }
        }
    }

    /// Waits for its end, at most for `timeout`; None if it runs on.
    ///
    /// # Errors
    /// As [`Process::join`].
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<ExitStatus>, Error> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(Some(status));
            }
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let is_readable = procession_os::readable(&self.lease, left);
            if !is_readable.map_err(|e| Error::start("waiting for the process", e))? {
                return Ok(None);
            }
        }
    }

    /// Asks it to end: SIGTERM to its process group.
    pub fn terminate(&mut self) {
        self.signal(SIGTERM);
    }

    /// Ends it: SIGKILL to its process group.
    pub fn kill(&mut self) {
        self.signal(SIGKILL);
    }

    fn signal(&mut self, signal: i32) {
        if self.is_alive() {
            // Without a supervisor it is dead already.
            let _ = self.lease.send(&Request::Signal { id: ID, signal }, &[]);
        }
    }

    fn wait_for_start(&mut self) -> Result<(), Error> {
        while self.pid == 0 && self.end.is_none() {
            let Some(event) = self.lease.receive() else {
                procession_os::readable(&self.lease, None)
                    .map_err(|e| Error::start(&format!("process `{}`", self.name), e))?;
                continue;
            };
            if let Event::Notice(Notice::NotStarted { cause, .. }, _) = event {
                return Err(Error::new(ErrorKind::Start, format!("failed to start process `{}`: {cause}", self.name)));
            }
            self.take(event);
        }
        if self.pid == 0 {
            return Err(Error::new(
                ErrorKind::Start,
                format!("failed to start process `{}`: {}", self.name, Lease::describe_lost_supervisor()),
            ));
        }
        Ok(())
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Notice(Notice::Started { pid, .. }, _) => self.pid = pid as u32,
            Event::Notice(Notice::Exited { end, .. }, _) => self.end = Some(end),
            Event::Notice(Notice::NotStarted { .. }, _) | Event::Lost => {
                self.end = Some(End::UNKNOWN);
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_daemon {
            self.kill();
        }
        let _ = self.join();
    }
}

/// Puts a call and its argument into a segment of their own.
fn write_call(call: Call<Once>, argument: &[u8]) -> io::Result<OwnedFd> {
    let (segment, fd) = Segment::create("procession-call", AT_ARGUMENT + argument.len())?;
    let (descriptor, target) = call.to_raw();
    segment.write(0, &MAGIC.to_le_bytes());
    segment.write(AT_IMAGE, &ImageId::current().0);
    segment.write(AT_CALL, &descriptor.to_le_bytes());
    segment.write(AT_CALL + 8, &target.to_le_bytes());
    segment.write(AT_LEN, &(argument.len() as u64).to_le_bytes());
    segment.write(AT_ARGUMENT, argument);
    Ok(fd)
}

fn read_call(fd: &OwnedFd) -> io::Result<(Call<Once>, Vec<u8>)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let segment = Segment::map(fd)?;
    let mut bytes = Vec::new();
    segment.read(0, segment.len(), &mut bytes);
    let word = |at: usize| bytes.get(at..at + 8).and_then(|b| Some(u64::from_le_bytes(b.try_into().ok()?)));
    if word(0) != Some(MAGIC) {
        return Err(invalid("what was passed is no call"));
    }
    if bytes.get(AT_IMAGE..AT_CALL) != Some(&ImageId::current().0) {
        return Err(invalid("the program runs another image than this process"));
    }
    let (Some(descriptor), Some(target)) = (word(AT_CALL), word(AT_CALL + 8)) else {
        return Err(invalid("the call is cut off"));
    };
    let call =
        Call::from_raw((descriptor, target)).map_err(|_| invalid("the call names no function of this program"))?;
    Ok((call, bytes.split_off(AT_ARGUMENT)))
}

/// What the entry of a process gets: the encoded argument, and where to say that it was not one.
struct Once {
    argument: Vec<u8>,
    handles: Vec<OwnedFd>,
    problem: Option<String>,
}

struct RunOnce;

impl<A: DeserializeOwned + 'static> Shim<Plain<A, ()>> for RunOnce {
    type Context = Once;
    fn run(function: Plain<A, ()>, once: &mut Once) {
        let (argument, handles) = (std::mem::take(&mut once.argument), std::mem::take(&mut once.handles));
        match wire::decode_argument(Bytes::Owned(argument), handles) {
            Ok(argument) => (function.0)(argument),
            Err(e) => once.problem = Some(e),
        }
    }
}

/// The child's side; returns its exit code.
pub(crate) fn run(mut fds: Vec<OwnedFd>) -> io::Result<i32> {
    let handles = fds.split_off(fds.len().min(1));
    let (call, argument) = read_call(fds.first().ok_or(io::ErrorKind::InvalidInput)?)?;
    drop(fds);
    let mut once = Once { argument, handles, problem: None };
    // A panic has printed its message; 101 is what it ends a program with.
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| call.run(&mut once))).is_err() {
        return Ok(101);
    }
    match once.problem {
        Some(problem) => Err(io::Error::new(io::ErrorKind::InvalidData, problem)),
        None => Ok(0),
    }
}
