//! The program's side: starts the supervisor when it is first needed, and again should it die.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use procession_os::{Channel, Child, Received, SelfSpawn};

use super::{NamedMemory, Notice, Request, SUPERVISOR_ARGUMENT};

/// A connection to the supervisor that owns the workers started through it: they end with it.
#[derive(Debug)]
pub(crate) struct Lease {
    channel: Channel,
    /// Whether a worker of this supervisor has ever been ready; the same for all of its leases.
    has_served: Arc<AtomicBool>,
}

/// What arrived on a lease.
#[derive(Debug)]
pub(crate) enum Event {
    Notice(Notice, Option<OwnedFd>),
    /// The supervisor is gone, and with it all workers.
    Lost,
}

/// What this process has of its supervisor, and what it has asked it to unlink.
struct State {
    supervisor: Option<Supervisor>,
    owned: Vec<NamedMemory>,
}

struct Supervisor {
    root: Channel,
    child: Child,
    has_served: Arc<AtomicBool>,
}

/// The supervisor of this process, once it has one.
static STATE: Mutex<State> = Mutex::new(State { supervisor: None, owned: Vec::new() });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the supervisor if there is none; does not wait until it is ready.
///
/// # Errors
/// When a supervisor cannot be started.
pub(crate) fn ensure_running() -> io::Result<()> {
    state().with_supervisor(|_| Ok(()))
}

/// Lets the supervisor unlink `memory` when this process is gone, however it ends; starts the supervisor if there is none.
/// Should the supervisor die before the program, then the next one is told the same; if there is none, nobody unlinks.
///
/// # Errors
/// When a supervisor cannot be started.
pub(crate) fn own(memory: NamedMemory) -> io::Result<()> {
    let mut state = state();
    let told = state.with_supervisor(|supervisor| send(&supervisor.root, &Request::Own(memory.clone()), &[]));
    if told.is_ok() {
        state.owned.push(memory);
    }
    told
}

/// `memory` is unlinked already.
pub(crate) fn disown(memory: NamedMemory) {
    let mut state = state();
    state.owned.retain(|owned| *owned != memory);
    if let Some(supervisor) = &state.supervisor {
        // If it is gone then its successor is not told of it any more.
        let _ = send(&supervisor.root, &Request::Disown(memory), &[]);
    }
}

impl State {
    /// Asks the supervisor, or another if that is gone; starts one if there is none.
    fn with_supervisor<T>(&mut self, ask: impl Fn(&Supervisor) -> io::Result<T>) -> io::Result<T> {
        if let Some(supervisor) = self.supervisor.as_mut() {
            if matches!(supervisor.child.try_wait(), Ok(None)) {
                match ask(supervisor) {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
                    // Other errors, such as a lack of descriptors, are ours: it serves the rest of the program well.
                    answer => return answer,
                }
            }
            supervisor.child.kill();
        }
        let supervisor = self.supervisor.insert(Supervisor::start()?);
        let owned = self.owned.iter().map(|memory| send(&supervisor.root, &Request::Own(memory.clone()), &[]));
        owned.collect::<io::Result<()>>().and_then(|()| ask(supervisor)).map_err(|e| match e.kind() {
            // It has ended as soon as it began.
            io::ErrorKind::BrokenPipe => io::Error::new(e.kind(), supervisor.describe_end()),
            _ => e,
        })
    }
}

impl Lease {
    /// Opens a lease; starts the supervisor if there is none.
    ///
    /// # Errors
    /// When a supervisor cannot be started.
    pub fn open() -> io::Result<Lease> {
        state().with_supervisor(Supervisor::lease)
    }

    /// Kills the supervisor, should it not answer; the next lease starts another.
    pub fn kill_supervisor() {
        if let Some(supervisor) = state().supervisor.as_mut() {
            supervisor.child.kill();
        }
    }

    /// Why the supervisor is gone, as far as it can be told.
    pub fn describe_lost_supervisor() -> String {
        state().supervisor.as_mut().map_or_else(|| "the supervisor ended".to_string(), Supervisor::describe_end)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When the supervisor is gone.
    pub fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        send(&self.channel, request, fds)
    }

    /// A worker of its supervisor is ready.
    pub fn set_served(&self) {
        self.has_served.store(true, Ordering::Relaxed);
    }

    /// Whether its supervisor is known to work, so that its end is an accident.
    pub fn has_served(&self) -> bool {
        self.has_served.load(Ordering::Relaxed)
    }

    /// Asks for the end of all workers. Once they are dead the supervisor closes its end: [`Event::Lost`].
    pub fn finish(&self) {
        self.channel.finish();
    }

    /// What has arrived, if anything.
    pub fn receive(&self) -> Option<Event> {
        match self.channel.receive() {
            Ok(Received::Message(bytes, fds)) => match postcard::from_bytes(&bytes) {
                Ok(notice) => Some(Event::Notice(notice, fds.into_iter().next())),
                Err(_) => Some(Event::Lost),
            },
            Ok(Received::Empty) => None,
            Ok(Received::Closed) | Err(_) => Some(Event::Lost),
        }
    }
}

impl AsFd for Lease {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

impl Supervisor {
    fn start() -> io::Result<Supervisor> {
        let (root, theirs) = Channel::pair()?;
        let child =
            SelfSpawn { argument: SUPERVISOR_ARGUMENT, fds: vec![theirs.as_fd()], stderr: None, new_session: true }
                .spawn()?;
        Ok(Supervisor { root, child, has_served: Arc::default() })
    }

    fn describe_end(&mut self) -> String {
        let status = self.child.try_wait().ok().flatten();
        let status = status.map_or_else(String::new, |status| format!(" ({status})"));
        format!("the supervisor ended{status}; is procession::init() the first call in main?")
    }

    fn lease(&self) -> io::Result<Lease> {
        let (ours, theirs) = Channel::pair()?;
        send(&self.root, &Request::Lease, &[theirs.as_fd()])?;
        Ok(Lease { channel: ours, has_served: Arc::clone(&self.has_served) })
    }
}

fn send(channel: &Channel, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = postcard::to_stdvec(request).map_err(io::Error::other)?;
    channel.send(&bytes, fds)
}
