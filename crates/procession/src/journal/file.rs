//! The file of a journal: who may open it, what it has, and how it grows.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::format::{self, Header, Key, MAX_PURPOSE_BYTES, RECORD_PREFIX_BYTES, RecordPrefix};
use super::purpose;
use super::scan::{Place, Records, scan};
use crate::{Error, ErrorKind};

/// What a power cut may cost.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait for the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Records are found with reads of this size.
const READ_BYTES: usize = 256 << 10;

/// What to do with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Create,
    Resume,
    Replace,
}

impl Opening {
    fn verb(self) -> &'static str {
        match self {
            Opening::Create => "create",
            Opening::Resume => "resume",
            Opening::Replace => "replace",
        }
    }
}

pub(crate) struct JournalFile {
    path: PathBuf,
    file: File,
    state: Mutex<State>,
    /// What was said of the item that the iterator returns next.
    identity: Mutex<Vec<u8>>,
    pub(super) recovered: u64,
    pub(super) lost_bytes: u64,
}

struct State {
    records: Records,
    /// Where the next record goes.
    end: u64,
    /// When what was written is to be put on the disk; none if all is.
    sync_at: Option<Instant>,
    synced_at: Option<Instant>,
    /// Why nothing is recorded any more.
    failure: Option<(io::ErrorKind, String)>,
}

impl JournalFile {
    /// Opens the file and locks it; finds its records, and cuts off what follows them.
    ///
    /// # Errors
    /// As [`Journal::create`](crate::Journal::create) and its like.
    pub(super) fn open(path: &Path, text: &str, opening: Opening) -> Result<JournalFile, Error> {
        let what = format!("{} the journal `{}`", opening.verb(), path.display());
        let refuse = |kind, why: &str| Error::new(kind, format!("failed to {what}: {why}"));
        if text.len() > MAX_PURPOSE_BYTES {
            return Err(refuse(ErrorKind::BadArgument, "its purpose is longer than 16 MiB"));
        }
        let cannot = |e: io::Error| Error::io(&what, e);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = options.map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(refuse(ErrorKind::BadArgument, "it is no regular file"));
        }
        if !lock(&file).map_err(cannot)? {
            return Err(refuse(ErrorKind::Busy, "another program uses it"));
        }
        // Only now, for whoever had the lock may have written.
        let len = file.metadata().map_err(cannot)?.len();
        let mut reader = BufReader::with_capacity(READ_BYTES, &file);
        let header = if len == 0 { Header::Torn } else { format::read_header(&mut reader, len).map_err(cannot)? };
        let is_kept = match (opening, header) {
            (Opening::Replace, _) => None,
            (_, _) if len == 0 => None,
            // One that has nothing yet is as good as an empty file.
            (Opening::Create, Header::Whole { bytes, .. }) if bytes == len => None,
            (Opening::Create, _) => return Err(refuse(ErrorKind::Exists, "it exists")),
            (Opening::Resume, Header::Torn) => None,
            (Opening::Resume, Header::Whole { purpose, bytes }) if purpose == text => Some(bytes),
            (Opening::Resume, Header::Whole { purpose, .. }) => {
                return Err(refuse(ErrorKind::OtherPurpose, &purpose::describe_other(&purpose, text)));
            }
            (Opening::Resume, Header::Version(version)) => {
                let why = format!("its format is version {version}, and this program knows {} only", format::VERSION);
                return Err(refuse(ErrorKind::BadArgument, &why));
            }
            (Opening::Resume, Header::Foreign) => {
                return Err(refuse(ErrorKind::BadArgument, "it is no journal but another kind of file"));
            }
        };
        let (records, end) = match is_kept {
            Some(start) => scan(&mut reader, start, len).map_err(cannot)?,
            None => (Records::default(), begin(&file, path, text).map_err(cannot)?),
        };
        let lost_bytes = if opening == Opening::Resume && is_kept.is_none() { len } else { len.saturating_sub(end) };
        if is_kept.is_some() && lost_bytes > 0 {
            file.set_len(end).and_then(|()| file.sync_all()).map_err(cannot)?;
        }
        let lost_bytes = if opening == Opening::Resume { lost_bytes } else { 0 };
        let recovered = records.count;
        let state = State { records, end, sync_at: None, synced_at: None, failure: None };
        let (path, identity) = (path.to_path_buf(), Mutex::default());
        Ok(JournalFile { path, file, state: Mutex::new(state), identity, recovered, lost_bytes })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn identify(&self, bytes: &[u8]) {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        // With its length, so that two calls are not the same as one with both.
        identity.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        identity.extend_from_slice(bytes);
    }

    pub fn take_identity(&self) -> Vec<u8> {
        std::mem::take(&mut self.identity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The oldest recorded payload of a key that was not taken yet. What cannot be read any more is left out.
    pub fn take(&self, key: &Key) -> Option<Vec<u8>> {
        loop {
            let place = self.state().records.take(key)?;
            if let Some(payload) = self.read(key, place) {
                return Some(payload);
            }
        }
    }

    fn read(&self, key: &Key, place: Place) -> Option<Vec<u8>> {
        let mut prefix = [0; RECORD_PREFIX_BYTES];
        self.file.read_exact_at(&mut prefix, place.offset).ok()?;
        let prefix = RecordPrefix::parse(&prefix);
        if prefix.payload_bytes != place.payload_bytes || prefix.key != *key {
            return None;
        }
        // It was in the file when that was opened: no more than is there is asked for.
        let len = usize::try_from(place.payload_bytes).ok()?;
        let mut payload = Vec::new();
        payload.try_reserve_exact(len).ok()?;
        payload.resize(len, 0);
        self.file.read_exact_at(&mut payload, place.offset + RECORD_PREFIX_BYTES as u64).ok()?;
        let mut checker = prefix.checker();
        checker.update(&payload);
        checker.is_intact().then_some(payload)
    }

    /// Puts whole records at the end; all of them, or the file stays as it was and takes no more.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn append(&self, records: &[u8]) -> Result<(), Error> {
        let mut state = self.state();
        self.check(&state)?;
        match self.file.write_all_at(records, state.end) {
            Ok(()) => {
                state.end += records.len() as u64;
                if state.sync_at.is_none() {
                    let now = Instant::now();
                    state.sync_at = Some(state.synced_at.map_or(now, |at| now.max(at + SYNC_INTERVAL)));
                }
            }
            Err(cause) => {
                state.failure = Some((cause.kind(), crate::error::describe(&cause)));
                // What is left of the records is no record; the next to open the file cuts it off if we cannot.
                let _ = self.file.set_len(state.end);
            }
        }
        self.check(&state)?;
        self.sync_if_due(state)
    }

    fn check(&self, state: &State) -> Result<(), Error> {
        let Some((kind, why)) = &state.failure else { return Ok(()) };
        let message = format!("failed to write the journal `{}`: {why}", self.path.display());
        Err(Error::with_source(ErrorKind::Io, message, io::Error::from(*kind)))
    }

    pub fn sync_at(&self) -> Option<Instant> {
        self.state().sync_at
    }

    fn sync_if_due(&self, state: MutexGuard<'_, State>) -> Result<(), Error> {
        let is_due = state.sync_at.is_some_and(|at| at <= Instant::now());
        drop(state);
        if is_due { self.sync() } else { Ok(()) }
    }

    /// Puts what was written on the disk.
    ///
    /// # Errors
    /// Those of fdatasync(2), and that of an earlier write.
    pub fn sync(&self) -> Result<(), Error> {
        let mut state = self.state();
        self.check(&state)?;
        if state.sync_at.take().is_some() {
            if let Err(cause) = self.file.sync_data() {
                state.failure = Some((cause.kind(), crate::error::describe(&cause)));
            }
            state.synced_at = Some(Instant::now());
        }
        self.check(&state)
    }
}

impl Drop for JournalFile {
    fn drop(&mut self) {
        // Whoever wants to know has called `flush`.
        let _ = self.sync();
        procession_os::unlock_file(&self.file);
    }
}

/// Takes the lock; false if somebody has it for longer than a moment. A program that was killed while it started a process
/// has left a copy of its descriptors there, until that executes its own program.
fn lock(file: &File) -> io::Result<bool> {
    let start = Instant::now();
    loop {
        if procession_os::try_lock_file(file)? {
            return Ok(true);
        }
        if start.elapsed() > LOCK_PATIENCE {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Begins a journal: a header and nothing else, on the disk under its name. Returns where records begin.
fn begin(file: &File, path: &Path, text: &str) -> io::Result<u64> {
    let header = format::header(text);
    file.set_len(0)?;
    if let Err(cause) = file.write_all_at(&header, 0) {
        let _ = file.set_len(0);
        return Err(cause);
    }
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Not every file system can sync a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(header.len() as u64)
}
