//! The program's side: starts the supervisor when it is first needed, and again should it die.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use procession_os::{Channel, Child, Received, SelfSpawn};

use super::{Notice, Request, SUPERVISOR_ARGUMENT};

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

struct Supervisor {
    root: Channel,
    child: Child,
    has_served: Arc<AtomicBool>,
}

/// The supervisor of this process, once it has one.
static SUPERVISOR: Mutex<Option<Supervisor>> = Mutex::new(None);

impl Lease {
    /// Opens a lease; starts the supervisor if there is none.
    ///
    /// # Errors
    /// When a supervisor cannot be started.
    pub fn open() -> io::Result<Lease> {
        let mut current = SUPERVISOR.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(supervisor) = current.as_mut() {
            if matches!(supervisor.child.try_wait(), Ok(None)) {
                match supervisor.lease() {
                    Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
                    // Other errors, such as a lack of descriptors, are ours: it serves the rest of the program well.
                    lease => return lease,
                }
            }
            supervisor.child.kill();
        }
        let supervisor = current.insert(Supervisor::start()?);
        supervisor.lease().map_err(|e| match e.kind() {
            // It has ended as soon as it began.
            io::ErrorKind::BrokenPipe => io::Error::new(e.kind(), supervisor.describe_end()),
            _ => e,
        })
    }

    /// Kills the supervisor, should it not answer; the next lease starts another.
    pub fn kill_supervisor() {
        if let Some(supervisor) = SUPERVISOR.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            supervisor.child.kill();
        }
    }

    /// Why the supervisor is gone, as far as it can be told.
    pub fn describe_lost_supervisor() -> String {
        let mut current = SUPERVISOR.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_mut().map_or_else(|| "the supervisor ended".to_string(), Supervisor::describe_end)
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
