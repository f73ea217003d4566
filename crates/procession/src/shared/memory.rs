//! Shared memory with a name: Python's `shared_memory.SharedMemory`.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use procession_os::FileId;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::handle::Descriptor;
use crate::supervisor::{NamedMemory, disown, own};
use crate::{Error, ErrorKind, init};

/// Bytes that unrelated processes share by a name: Python's `multiprocessing.shared_memory.SharedMemory`.
///
/// The name is a file's in `/dev/shm` (shm_overview(7)), as Python's is: either can create what the other attaches to.
/// Whoever [creates](SharedMemory::create) it owns it: when its last clone in that process is dropped the name is taken
/// away, and also when the program is killed. Those who have attached keep the memory until they drop it. A handle that is
/// sent to a worker attaches it there, without the name being looked up.
///
/// A worker may own memory too, but create what shall surely be cleared up in the program: a worker that is killed
/// together with the program, or with its pool, may leave its names behind.
///
/// What is between processes of one program is better served by [`SharedSlice`](crate::SharedSlice),
/// [`Value`](crate::Value) and [`Array`](crate::Array), which need no names and nobody to clean up.
///
/// Bytes are copied in and out, by pread(2) and pwrite(2): any process with the right to may cut the file short, and
/// memory that is mapped beyond the end of its file would then end this process by SIGBUS. Who reads while another writes
/// may find part of each: agree on turns, for instance by a [`Lock`](crate::Lock).
///
/// Python before 3.13 unlinks what it has only attached to when it ends (CPython issue 82300); there, call
/// `resource_tracker.unregister(shm._name, "shared_memory")` after attaching.
///
/// # Examples
/// ```
/// # procession::init();
/// use procession::SharedMemory;
///
/// let ours = SharedMemory::create(None, 1024)?;
/// let theirs = SharedMemory::attach(ours.name())?; // in whatever process
/// ours.write(1000, b"hello")?;
/// let mut bytes = [0; 5];
/// theirs.read(1000, &mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok::<(), procession::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    name: String,
    descriptor: Descriptor,
    len: usize,
    id: FileId,
    owner: Option<Arc<Owner>>,
}

impl SharedMemory {
    /// Creates memory of `bytes` bytes, all zeros, under `name`, or under a new one like `psm_1f3a87c2` for None. Only
    /// this user's processes can open it.
    ///
    /// The memory is there in full when this returns, and under its name only then: it never runs out later.
    ///
    /// # Errors
    /// [`ErrorKind::Exists`] if there is memory of that name, [`ErrorKind::BadArgument`] for 0 bytes and for what is no
    /// name (1 to 255 bytes without `/`), [`ErrorKind::NotInitialized`] without [`init`](crate::init()),
    /// [`ErrorKind::Create`] if there is not enough room in `/dev/shm`, or the system refuses otherwise.
    pub fn create<'a>(name: impl Into<Option<&'a str>>, bytes: usize) -> Result<SharedMemory, Error> {
        init::check()?;
        let name = name.into();
        let what = || name.map_or_else(|| "shared memory".to_string(), |name| format!("shared memory `{name}`"));
        if bytes == 0 {
            let message = format!("failed to make {}: it must have at least one byte", what());
            return Err(Error::new(ErrorKind::BadArgument, message));
        }
        let cannot = |e: io::Error| failed(&format!("make {}", what()), ErrorKind::Create, e);
        let fd = procession_os::create_shm(bytes as u64).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => cannot(io::Error::other("this system has no /dev/shm")),
            _ => cannot(e),
        })?;
        let id = procession_os::shm_id(&fd).map_err(cannot)?;
        let owner = loop {
            let tried = name.map_or_else(random_name, str::to_string);
            // First the supervisor is told, then the name given: a kill in between leaves nothing. A name that turns
            // out to be another's is left alone, for that is another file.
            let owner = Owner::of(tried, id).map_err(cannot)?;
            match procession_os::name_shm(&fd, &owner.memory.name) {
                Ok(()) => break owner,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && name.is_none() => {}
                Err(e) => return Err(cannot(e)),
            }
        };
        let (name, descriptor) = (owner.memory.name.clone(), fd.into());
        Ok(SharedMemory { name, descriptor, len: bytes, id, owner: Some(Arc::new(owner)) })
    }

    /// Opens the memory called `name`, whoever has created it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is none, [`ErrorKind::BadArgument`] for what is no name or no memory,
    /// [`ErrorKind::Create`] if it may not be opened.
    pub fn attach(name: &str) -> Result<SharedMemory, Error> {
        let cannot = |e: io::Error| failed(&format!("attach to shared memory `{name}`"), ErrorKind::Create, e);
        let descriptor = procession_os::open_shm(name).map_err(cannot)?.into();
        SharedMemory::from_descriptor(name.to_string(), descriptor).map_err(cannot)
    }

    fn from_descriptor(name: String, descriptor: Descriptor) -> io::Result<SharedMemory> {
        let len = procession_os::shm_len(&descriptor)?;
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        let id = procession_os::shm_id(&descriptor)?;
        Ok(SharedMemory { name, descriptor, len, id, owner: None })
    }

    /// Its name, by which others attach.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes, as it was when it was created or attached to. Never 0 for what is created.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Fills `bytes` with what is at `offset`.
    ///
    /// # Errors
    /// [`ErrorKind::BadArgument`] if they do not lie within, [`ErrorKind::Io`] if somebody has cut the memory since.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        let what = || format!("read shared memory `{}`", self.name);
        self.check(offset, bytes.len(), what)?;
        procession_os::read_shm(&self.descriptor, offset as u64, bytes).map_err(|e| failed(&what(), ErrorKind::Io, e))
    }

    /// Puts `bytes` at `offset`.
    ///
    /// # Errors
    /// As [`SharedMemory::read`].
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let what = || format!("write shared memory `{}`", self.name);
        self.check(offset, bytes.len(), what)?;
        procession_os::write_shm(&self.descriptor, offset as u64, bytes).map_err(|e| failed(&what(), ErrorKind::Io, e))
    }

    /// Takes the name away, so that nobody can attach any more. The owner does that by itself in the end. It is no error
    /// if the name is gone, or another memory's by now.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the system refuses.
    pub fn unlink(&self) -> Result<(), Error> {
        match procession_os::unlink_shm(&self.name, self.id) {
            Ok(_) => Ok(()),
            Err(e) => Err(failed(&format!("unlink shared memory `{}`", self.name), ErrorKind::Io, e)),
        }
    }

    fn check(&self, offset: usize, len: usize, what: impl FnOnce() -> String) -> Result<(), Error> {
        if offset <= self.len && len <= self.len - offset {
            return Ok(());
        }
        let message = format!("failed to {}: {len} bytes at {offset} are not within its {}", what(), self.len);
        Err(Error::new(ErrorKind::BadArgument, message))
    }
}

/// Takes the name away when it is dropped, and if it never is, because the process is killed, has the supervisor do it.
struct Owner {
    memory: NamedMemory,
    /// A process that the program has forked owns nothing.
    pid: u32,
}

impl Owner {
    fn of(name: String, id: FileId) -> io::Result<Owner> {
        let memory = NamedMemory { name, device: id.device, inode: id.inode };
        own(memory.clone())?;
        Ok(Owner { memory, pid: std::process::id() })
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // If it cannot be unlinked now then the supervisor tries once more in the end.
        if self.pid == std::process::id() && self.memory.unlink().is_ok() {
            disown(self.memory.clone());
        }
    }
}

/// Python's form of a name that nobody has asked for.
fn random_name() -> String {
    // Keys of the standard library's hash maps are random, and differ at each call.
    format!("psm_{:08x}", RandomState::new().build_hasher().finish() as u32)
}

/// `otherwise` is the kind of error if the cause is none that has a kind of its own.
fn failed(what: &str, otherwise: ErrorKind, cause: io::Error) -> Error {
    let (kind, why) = match cause.kind() {
        io::ErrorKind::AlreadyExists => (ErrorKind::Exists, "there is one of that name".to_string()),
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "there is none of that name".to_string()),
        io::ErrorKind::InvalidInput => (ErrorKind::BadArgument, cause.to_string()),
        io::ErrorKind::StorageFull => (otherwise, "there is not enough room in /dev/shm".to_string()),
        io::ErrorKind::UnexpectedEof => (otherwise, "another process has made it smaller".to_string()),
        _ => (otherwise, crate::error::describe(&cause)),
    };
    Error::with_source(kind, format!("failed to {what}: {why}"), cause)
}

impl fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_owner = self.owner.is_some();
        f.debug_struct("SharedMemory")
            .field("name", &self.name)
            .field("len", &self.len)
            .field("is_owner", &is_owner)
            .finish()
    }
}

impl Serialize for SharedMemory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.name, &self.descriptor).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SharedMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SharedMemory, D::Error> {
        let (name, descriptor) = Deserialize::deserialize(deserializer)?;
        SharedMemory::from_descriptor(name, descriptor).map_err(D::Error::custom)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::shared::tests::{is_sent_refused, sent};

    fn exists(name: &str) -> bool {
        std::path::Path::new("/dev/shm").join(name).exists()
    }

    #[test]
    fn it_is_found_by_its_name_as_long_as_its_owner_has_it() {
        let ours = SharedMemory::create(None, 5000).unwrap();
        let name = ours.name().to_string();
        assert!(name.starts_with("psm_") && exists(&name), "{name}");
        let theirs = SharedMemory::attach(&name).unwrap();
        assert_eq!(SharedMemory::create(&*name, 10).unwrap_err().kind(), ErrorKind::Exists);
        assert!(exists(&name), "a failed creation leaves it alone");
        ours.write(4999, b"x").unwrap();
        let mut byte = [0];
        theirs.read(4999, &mut byte).unwrap();
        assert_eq!((byte, theirs.len(), theirs.name()), (*b"x", 5000, &*name));
        drop(ours.clone());
        assert!(exists(&name));
        drop(ours);
        assert!(!exists(&name));
        theirs.read(4999, &mut byte).unwrap();
        assert_eq!(SharedMemory::attach(&name).unwrap_err().kind(), ErrorKind::NotFound);
        theirs.unlink().unwrap();
    }

    #[test]
    fn it_is_unlinked_before_its_time_and_its_name_given_to_another() {
        let first = SharedMemory::create(None, 1).unwrap();
        let name = first.name().to_string();
        first.unlink().unwrap();
        assert!(!exists(&name));
        let second = SharedMemory::create(&*name, 1).unwrap();
        first.unlink().unwrap();
        drop(first);
        assert!(exists(&name), "that is another's now");
        drop(second);
        assert!(!exists(&name));
    }

    #[test]
    fn arguments_are_checked() {
        for bad in ["", ".", "..", "a/b", "/x", "a\0", &"n".repeat(256)] {
            assert_eq!(SharedMemory::create(bad, 10).unwrap_err().kind(), ErrorKind::BadArgument, "{bad}");
            assert_eq!(SharedMemory::attach(bad).unwrap_err().kind(), ErrorKind::BadArgument, "{bad}");
        }
        assert_eq!(SharedMemory::create(None, 0).unwrap_err().kind(), ErrorKind::BadArgument);
        let full = SharedMemory::create(None, usize::MAX).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Create);
        assert!(full.to_string().contains("not enough room in /dev/shm"), "{full}");
        let memory = SharedMemory::create(None, 10).unwrap();
        let mut bytes = [0; 5];
        for offset in [6, 10, 11, usize::MAX, usize::MAX - 4] {
            assert_eq!(memory.read(offset, &mut bytes).unwrap_err().kind(), ErrorKind::BadArgument);
            assert_eq!(memory.write(offset, &bytes).unwrap_err().kind(), ErrorKind::BadArgument);
        }
        memory.read(5, &mut bytes).unwrap();
        memory.write(10, &[]).unwrap();
    }

    #[test]
    fn what_another_process_cuts_is_an_error_and_no_fault() {
        let memory = SharedMemory::create(None, 100_000).unwrap();
        std::fs::File::options().write(true).open(format!("/dev/shm/{}", memory.name())).unwrap().set_len(10).unwrap();
        let error = memory.read(50_000, &mut [0; 100]).unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("made it smaller"), "{error}");
        memory.read(0, &mut [0; 10]).unwrap();
    }

    #[test]
    fn who_it_is_sent_to_does_not_own_it() {
        let ours = SharedMemory::create(None, 100).unwrap();
        let theirs: SharedMemory = sent(&ours).unwrap();
        theirs.write(0, b"theirs").unwrap();
        drop(theirs);
        assert!(exists(ours.name()));
        let mut bytes = [0; 6];
        ours.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"theirs");
        assert!(is_sent_refused::<_, SharedMemory>(&(
            "x",
            Descriptor::from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().0))
        )));
    }
}
