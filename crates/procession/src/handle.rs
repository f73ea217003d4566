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

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one argument can carry: the kernel passes so many with one message (unix(7), SCM_MAX_FD is 253).
pub(crate) const MAX_HANDLES: usize = 250;

/// The handles that belong to one encoded value.
pub(crate) type Handles = Vec<Descriptor>;

/// A descriptor that can be sent to another process as part of an argument. Clones are the same descriptor.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor(Arc<OwnedFd>);

thread_local! {
    /// Whether what is encoded now may carry handles.
    static IS_SENDING: Cell<bool> = const { Cell::new(false) };
    /// Whether there is something on the list: cheaper to look at.
    static HAS_SENT: Cell<bool> = const { Cell::new(false) };
    static SENT: RefCell<Handles> = const { RefCell::new(Vec::new()) };
    static PROBLEM: Cell<Option<String>> = const { Cell::new(None) };
    static RECEIVED: RefCell<Vec<Option<OwnedFd>>> = const { RefCell::new(Vec::new()) };
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
        Descriptor(Arc::new(fd))
    }
}

impl Descriptor {
    /// The descriptor itself; a copy if others have it too.
    ///
    /// # Errors
    /// Those of dup(2).
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).or_else(|shared| shared.as_fd().try_clone_to_owned())
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
        if place >= MAX_HANDLES {
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
}

impl Sending {
    pub fn begin() -> Sending {
        let outer_sent = if HAS_SENT.replace(false) { SENT.take() } else { Vec::new() };
        Sending { outer: IS_SENDING.replace(true), outer_sent }
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
        HAS_SENT.set(!self.outer_sent.is_empty());
        SENT.set(std::mem::take(&mut self.outer_sent));
    }
}

/// Lends `fds` to `decode` as the handles of what it decodes. What it does not use is closed.
pub(crate) fn with_received<T>(fds: Vec<OwnedFd>, decode: impl FnOnce() -> T) -> T {
    /// Puts back what an outer call has lent, also when `decode` panics.
    struct Restore(Vec<Option<OwnedFd>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            RECEIVED.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(RECEIVED.replace(fds.into_iter().map(Some).collect()));
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
        std::fs::File::from(Arc::into_inner(copy.0).unwrap()).write_all(b"x").unwrap();
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
