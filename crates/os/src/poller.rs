//! Waiting for several descriptors at once (epoll(7)), and an event that any process can raise (eventfd(2)).

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, epoll};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::time::Timespec;

fn timespec(timeout: Duration) -> Timespec {
    Timespec { tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: timeout.subsec_nanos().into() }
}

/// Waits until `fd` can be read or is closed; false when `timeout` ran out first.
///
/// # Errors
/// Those of poll(2).
pub fn readable(fd: impl AsFd, timeout: Option<Duration>) -> io::Result<bool> {
    poll_one(&fd, PollFlags::IN, timeout)
}

pub(crate) fn writable(fd: impl AsFd) -> io::Result<()> {
    poll_one(&fd, PollFlags::OUT, None).map(|_| ())
}

fn poll_one(fd: &impl AsFd, flags: PollFlags, timeout: Option<Duration>) -> io::Result<bool> {
    // A time beyond what the clock can tell is none.
    let deadline = timeout.and_then(|t| std::time::Instant::now().checked_add(t));
    loop {
        let left = deadline.map(|d| timespec(d.saturating_duration_since(std::time::Instant::now())));
        match rustix::event::poll(&mut [PollFd::new(fd, flags)], left.as_ref()) {
            Ok(n) => return Ok(n > 0),
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Makes reading from `fd` return at once when there is nothing.
///
/// # Errors
/// Those of ioctl(2).
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// What a watched descriptor stands for, given back when it is ready.
pub type Interest = u64;

/// A set of watched descriptors.
#[derive(Debug)]
pub struct Poller(OwnedFd);

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Poller> {
        Ok(Poller(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watches `fd` for input and hang-up, level-triggered.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add(&self, fd: impl AsFd, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.0, fd, epoll::EventData::new_u64(interest), epoll::EventFlags::IN)?)
    }

    /// Stops watching `fd`. To be called before the descriptor is closed.
    pub fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.0, fd);
    }

    /// Waits for the next events and returns their interests; none when `timeout` ran out or a signal came.
    ///
    /// # Errors
    /// Those of epoll_wait(2).
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Interest>> {
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 64];
        match epoll::wait(&self.0, &mut events[..], timeout.map(timespec).as_ref()) {
            Ok((events, _)) => Ok(events.iter().map(|e| e.data.u64()).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(e) => Err(e.into()),
        }
    }
}

/// preadv2(2): -1, where reading goes on, as read(2) does.
const AT_NO_OFFSET: u64 = u64::MAX;

/// An event that can be raised from any process that holds it.
#[derive(Debug)]
pub struct Notifier(OwnedFd);

impl Notifier {
    /// An event that is not raised.
    ///
    /// # Errors
    /// Those of eventfd(2).
    pub fn new() -> io::Result<Notifier> {
        Ok(Notifier(rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Takes over a descriptor that another process made with [`Notifier::new`].
    pub fn from_fd(fd: OwnedFd) -> Notifier {
        Notifier(fd)
    }

    /// Raises the event. It stays raised until [`Notifier::clear`]. Another process that holds it can make this wait until
    /// then.
    pub fn raise(&self) {
        // EAGAIN: the counter is full, so the event is raised already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Takes the event back, and never waits: not even if another process that holds it has made it one that waits
    /// (fcntl(2), `F_SETFL`). Where the kernel cannot promise that (before Linux 5.8) it is asked first.
    pub fn clear(&self) {
        let mut count = [0u8; 8];
        let read =
            rustix::io::preadv2(&self.0, &mut [IoSliceMut::new(&mut count)], AT_NO_OFFSET, ReadWriteFlags::NOWAIT);
        if matches!(read, Err(Errno::OPNOTSUPP | Errno::NOSYS))
            && readable(&self.0, Some(Duration::ZERO)).unwrap_or(false)
        {
            let _ = rustix::io::read(&self.0, &mut count);
        }
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_raised_until_it_is_cleared() {
        let (poller, event) = (Poller::new().unwrap(), Notifier::new().unwrap());
        poller.add(&event, 9).unwrap();
        assert!(poller.wait(Some(Duration::ZERO)).unwrap().is_empty());
        event.raise();
        event.raise();
        assert_eq!(poller.wait(None).unwrap(), [9]);
        assert!(readable(&event, None).unwrap());
        event.clear();
        assert!(!readable(&event, Some(Duration::ZERO)).unwrap());
        poller.remove(&event);
        event.raise();
        assert!(poller.wait(Some(Duration::ZERO)).unwrap().is_empty());
    }

    #[test]
    fn clearing_never_waits() {
        let event = Notifier::new().unwrap();
        rustix::io::ioctl_fionbio(&event, false).unwrap();
        event.clear();
        event.raise();
        event.clear();
        event.clear();
        assert!(!readable(&event, Some(Duration::ZERO)).unwrap());
    }
}
