//! Descriptors within values: how what is shared between processes (queues, locks, ends of pipes) travels as an argument,
//! or as a field of one.
//!
//! While an argument is encoded, each [`Descriptor`] in it puts itself on a list of the thread and writes only its place
//! in that list. The list is sent beside the bytes (unix(7), SCM_RIGHTS), and the receiving side lends it to the thread
//! that decodes.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one argument can carry: the kernel passes so many with one message (unix(7), SCM_MAX_FD is 253).
pub(crate) const MAX_HANDLES: usize = 250;

/// The handles that belong to one encoded value.
pub(crate) type Handles = Vec<Descriptor>;

/// The handles that have come with one frame, at their places, but for those that were taken out or are of other items.
pub(crate) type Received = Vec<Option<OwnedFd>>;

/// The handles that came with a frame, from that place in its encoding on.
pub(crate) fn at_places(first_place: usize, fds: impl IntoIterator<Item = OwnedFd>) -> Received {
    let fds = fds.into_iter().map(Some);
    (0..first_place).map(|_| None).chain(fds).collect()
}

/// A descriptor that can be sent to another process as part of an argument. Clones are the same descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fd: OwnedFd,
    /// Of a file, for which nobody waits at another end.
    file: Option<Counted>,
}

/// One of the files that are open in this process to be handed over.
#[derive(Debug)]
struct Counted;

static FILES: AtomicUsize = AtomicUsize::new(0);

impl Counted {
    fn new() -> Counted {
        FILES.fetch_add(1, Ordering::Relaxed);
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many files are open in this process to be handed over.
pub(crate) fn open_files() -> usize {
    FILES.load(Ordering::Relaxed)
}

thread_local! {
    /// Whether what is encoded now may carry handles.
    static IS_SENDING: Cell<bool> = const { Cell::new(false) };
    /// Whether there is something on the list: cheaper to look at.
    static HAS_SENT: Cell<bool> = const { Cell::new(false) };
    /// How many handles of earlier items the list goes on from.
    static BEFORE: Cell<usize> = const { Cell::new(0) };
    static SENT: RefCell<Handles> = const { RefCell::new(Vec::new()) };
    static PROBLEM: Cell<Option<String>> = const { Cell::new(None) };
    static RECEIVED: RefCell<Received> = const { RefCell::new(Vec::new()) };
}

/// Keeps the text of an error of which postcard keeps only that it is one.
pub(crate) fn note(text: String) -> String {
    PROBLEM.set(Some(text.clone()));
    text
}

/// What has gone wrong with a value: what was noted, or else what postcard says.
pub(crate) fn describe(error: postcard::Error) -> String {
    let noted = PROBLEM.take();
    match error {
        postcard::Error::SerdeSerCustom | postcard::Error::SerdeDeCustom => noted.unwrap_or_else(|| error.to_string()),
        _ => error.to_string(),
    }
}

impl From<OwnedFd> for Descriptor {
    fn from(fd: OwnedFd) -> Descriptor {
        Descriptor(Arc::new(Shared { fd, file: None }))
    }
}

impl Descriptor {
    /// That of a file.
    pub fn of_file(fd: OwnedFd) -> Descriptor {
        Descriptor(Arc::new(Shared { fd, file: Some(Counted::new()) }))
    }

    /// Whether it is a file's.
    pub fn is_file(&self) -> bool {
        self.0.file.is_some()
    }

    /// The descriptor itself, if nobody else has it.
    pub fn into_own_fd(self) -> Option<OwnedFd> {
        Arc::into_inner(self.0).map(|shared| shared.fd)
    }

    /// The descriptor itself; a copy if others have it too.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).map(|shared| shared.fd).or_else(|shared| shared.fd.try_clone())
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl Serialize for Descriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !IS_SENDING.get() {
            return Err(S::Error::custom(note(
                "a handle (of a queue, a lock, a pipe...) can be sent as an argument of a task or a process, or through a \
                 Pipe, but not here"
                    .to_string(),
            )));
        }
        let place = SENT.with_borrow_mut(|sent| {
            sent.push(self.clone());
            sent.len() - 1
        });
        HAS_SENT.set(true);
        let in_argument = place + 1;
        let place = place + BEFORE.get();
        if in_argument > MAX_HANDLES {
            return Err(S::Error::custom(note(format!("more than {MAX_HANDLES} handles in one argument"))));
        }
        (place as u32).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Descriptor, D::Error> {
        let place = u32::deserialize(deserializer)? as usize;
        let fd = RECEIVED.with_borrow_mut(|received| received.get_mut(place).and_then(Option::take));
        let missing = || {
            let text = "a handle did not arrive: this process may not have more descriptors (ulimit -n)";
            D::Error::custom(note(text.to_string()))
        };
        fd.map(Descriptor::from).ok_or_else(missing)
    }
}

/// While it lives, what this thread encodes may carry handles; [`take`](Sending::take) them after each value.
#[derive(Debug)]
pub(crate) struct Sending {
    outer: bool,
    outer_sent: Handles,
    outer_before: usize,
}

impl Sending {
    pub fn begin() -> Sending {
        Sending::begin_after(0)
    }

    /// The handles go on a list that has so many already.
    #[inline]
    pub fn begin_after(before: usize) -> Sending {
        let outer_sent = if HAS_SENT.replace(false) { SENT.take() } else { Vec::new() };
        Sending { outer: IS_SENDING.replace(true), outer_sent, outer_before: BEFORE.replace(before) }
    }

    /// The handles of what was encoded since the last call.
    #[inline]
    pub fn take(&self) -> Handles {
        if HAS_SENT.replace(false) { SENT.take() } else { Vec::new() }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        IS_SENDING.set(self.outer);
        BEFORE.set(self.outer_before);
        HAS_SENT.set(!self.outer_sent.is_empty());
        SENT.set(std::mem::take(&mut self.outer_sent));
    }
}

/// Lends `fds` to `decode` as the handles of what it decodes. What it does not use is closed.
pub(crate) fn with_received<T>(fds: Vec<OwnedFd>, decode: impl FnOnce() -> T) -> T {
    with_shared(&mut fds.into_iter().map(Some).collect(), decode)
}

/// Lends `handles`, which belong to several items, to `decode` as those of the one that it decodes. It takes out its own.
#[inline]
pub(crate) fn with_shared<T>(handles: &mut Received, decode: impl FnOnce() -> T) -> T {
    /// Puts back what an outer call has lent, also when `decode` panics.
    struct Restore<'a>(&'a mut Received);
    impl Drop for Restore<'_> {
        fn drop(&mut self) {
            RECEIVED.with_borrow_mut(|received| std::mem::swap(received, self.0));
        }
    }
    RECEIVED.with_borrow_mut(|received| std::mem::swap(received, handles));
    let _restore = Restore(handles);
    decode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn descriptors_travel_beside_the_bytes() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let descriptor = Descriptor::from(OwnedFd::from(writer));
        assert!(postcard::to_stdvec(&descriptor).is_err());
        let sending = Sending::begin();
        let bytes = postcard::to_stdvec(&(1, &descriptor)).unwrap();
        let handles = sending.take();
        assert_eq!((handles.len(), sending.take().len()), (1, 0));
        drop((sending, descriptor));
        assert!(postcard::from_bytes::<(i32, Descriptor)>(&bytes).is_err());
        let fds = handles.iter().map(|handle| handle.as_fd().try_clone_to_owned().unwrap()).collect();
        drop(handles);
        let (n, copy): (i32, Descriptor) = with_received(fds, || postcard::from_bytes(&bytes)).unwrap();
        assert_eq!(n, 1);
        std::fs::File::from(copy.into_fd().unwrap()).write_all(b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn what_is_encoded_within_keeps_its_own_list() {
        let descriptor = Descriptor::from(OwnedFd::from(std::io::pipe().unwrap().0));
        let outer = Sending::begin();
        postcard::to_stdvec(&descriptor).unwrap();
        {
            let inner = Sending::begin();
            assert_eq!(inner.take().len(), 0);
            postcard::to_stdvec(&[&descriptor, &descriptor]).unwrap();
        }
        assert_eq!(outer.take().len(), 1);
    }
}
