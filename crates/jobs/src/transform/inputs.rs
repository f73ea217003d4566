//! Opens the inputs, and looks at their first rows.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_bytes::ByteBuf;

use crate::data::columnar::{Columnar, Group, Shape, look};
use crate::data::{self, Chunks, Cut};
use crate::decode::{Format as Packing, HEAD_BYTES};
use crate::output::Scratch;
use crate::raw_path::RawPath;
use crate::regular::Regular;
use crate::walk::{Filter, Found, Walk};
use crate::{PlanError, Stamp, TaskError};

use super::aside::Aside;
use super::layout::Form;
use super::sample::{Ask, SAMPLE_BYTES, Sample, sample};

/// Bytes of a file that are one task, if rows are not longer; less of small files, so that all workers have some.
const FILE_CHUNK_BYTES: u64 = 256 << 10;
const MIN_FILE_CHUNK_BYTES: u64 = 128 << 10;
const CHUNKS_A_FILE: u64 = 16;
/// The same of what comes in a stream.
const STREAM_CHUNK_BYTES: usize = 256 << 10;
/// The same where the output keeps rows by their columns: a task's rows lie together there, and few rows are a bad group.
const GROUP_CHUNK_BYTES: u64 = 16 << 20;
const MIN_GROUP_CHUNK_BYTES: u64 = 4 << 20;
const GROUPS_A_FILE: u64 = 4;
/// What some programs write before UTF-8.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An input that can be read.
#[derive(Debug)]
pub struct Opened {
    /// As the user knows it.
    pub path: Arc<Path>,
    /// None of a stream.
    pub stamp: Option<Stamp>,
    pub form: Form,
    pub(super) kind: Source,
    /// What was read to look at it.
    pub(super) head: Vec<u8>,
    is_all: bool,
}

/// Where the bytes of an input are.
#[derive(Debug)]
pub enum Source {
    /// A plain file.
    Plain,
    /// A compressed file; that of a compressed stream has another name.
    Packed(PathBuf),
    Stream(File),
    /// A file of columns.
    Columns(PathBuf, Vec<Group>),
}

impl Opened {
    /// The file that its workers read themselves, if they do.
    pub fn file(&self) -> Option<&Path> {
        match &self.kind {
            Source::Plain => Some(&self.path),
            Source::Columns(path, _) => Some(path),
            Source::Packed(_) | Source::Stream(_) => None,
        }
    }

    /// That it cannot be read, and why.
    pub fn unreadable(&self, cause: &dyn std::fmt::Display) -> PlanError {
        PlanError::new(format_args!("failed to read `{}`: {cause}", self.path.display()))
    }

    /// Notes where the rows of a file of columns are.
    pub fn take_groups(&mut self, shape: &mut Shape) {
        if let Source::Columns(_, groups) = &mut self.kind {
            *groups = std::mem::take(&mut shape.groups);
        }
    }

    /// Where the rows of a file of columns are.
    pub fn groups(&self) -> Option<(&Path, &[Group])> {
        if let Source::Columns(path, groups) = &self.kind { Some((path, groups)) } else { None }
    }

    /// Lets go of the first rows, if they can be read again: there may be thousands of inputs.
    pub fn release(&mut self) {
        if !matches!(self.kind, Source::Stream(_)) {
            self.head.truncate(BYTE_ORDER_MARK.len());
            self.head.shrink_to_fit();
        }
    }
}

/// Inputs that are being opened.
pub struct Opener {
    aside: Aside,
    scratch: Option<Scratch>,
}

impl Opener {
    /// For inputs at these paths.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn find(paths: &[PathBuf]) -> Result<(Opener, Vec<Found>), PlanError> {
        let unreadable = |path: &Path, cause: &io::Error| PlanError::new(TaskError::io("read", path, cause));
        if let Some(folder) = paths.iter().find(|path| path.is_dir()) {
            return Err(unreadable(folder, &io::ErrorKind::IsADirectory.into()));
        }
        let walk = Walk::new(paths.iter().cloned(), Filter::default());
        let mut read = walk.access();
        let scratch = if walk.has_streams() { Scratch::new().ok() } else { None };
        read.extend(scratch.iter().map(|scratch| scratch.path().to_path_buf()));
        let found: Vec<Found> = walk.collect();
        for found in &found {
            if let Found::Problem { path, cause, .. } = found {
                return Err(unreadable(path, cause));
            }
        }
        Ok((Opener { aside: Aside::new(read), scratch }, found))
    }

    /// Opens an input and, if `looks`, reads its first rows.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn open(&self, found: Found, form: Form, looks: bool) -> Result<Opened, PlanError> {
        let (path, stamp) = match found {
            Found::File { path, stamp, .. } => (path, Some(stamp)),
            Found::Stream { path, .. } | Found::Problem { path, .. } => (path, None),
        };
        let failed = |cause: io::Error| PlanError::new(TaskError::io("read", &path, &cause));
        let sample_bytes = if looks { SAMPLE_BYTES } else { HEAD_BYTES };
        let mut head = Vec::new();
        let mut kind = match stamp {
            Some(_) => {
                let file = Regular::open(&path).map_err(failed)?;
                file.take(sample_bytes as u64).read_to_end(&mut head).map_err(failed)?;
                Source::Plain
            }
            None => {
                let source = match path.as_os_str() == "-" {
                    true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
                    false => File::open(&path),
                };
                let source = source.map_err(failed)?;
                (&source).take(sample_bytes as u64).read_to_end(&mut head).map_err(failed)?;
                Source::Stream(source)
            }
        };
        if let Some(format) = form.columnar() {
            let file = self.file_of(&path, format, kind, &head)?;
            let kind = Source::Columns(file, Vec::new());
            return Ok(Opened { path, stamp, form, kind, head: Vec::new(), is_all: true });
        }
        let mut is_all = head.len() < sample_bytes;
        if Packing::of(&head).is_some() {
            let file = match kind {
                Source::Stream(source) => self.spool(&head, source).map_err(failed)?,
                _ => path.to_path_buf(),
            };
            head = self.aside.head(&file, sample_bytes)?;
            is_all = head.len() < sample_bytes;
            kind = Source::Packed(file);
        }
        Ok(Opened { path, stamp, form, kind, head, is_all })
    }

    /// The file that has the bytes of an input whose end has to be read first.
    fn file_of(&self, path: &Path, format: Columnar, kind: Source, head: &[u8]) -> Result<PathBuf, PlanError> {
        if Packing::of(head).is_some() {
            return Err(PlanError::new(format_args!(
                "failed to read `{}`: it is compressed as a whole; {format} compresses its columns, and is read in any order",
                path.display()
            )));
        }
        match kind {
            Source::Stream(source) => {
                let failed = |cause: io::Error| PlanError::new(TaskError::io("read", path, &cause));
                self.spool(head, source).map_err(failed)
            }
            _ => Ok(path.to_path_buf()),
        }
    }

    /// Puts a stream into a file, which a worker can read.
    fn spool(&self, head: &[u8], mut source: File) -> io::Result<PathBuf> {
        let Some(scratch) = &self.scratch else {
            return Err(io::Error::other("there is no temporary folder for its bytes"));
        };
        let number = std::fs::read_dir(scratch.path())?.count();
        let path = scratch.path().join(number.to_string());
        let mut file = File::create_new(&path)?;
        file.write_all(head)?;
        io::copy(&mut source, &mut file)?;
        Ok(path)
    }

    /// What the first rows of an input tell.
    ///
    /// # Errors
    /// When it is CSV and has no header.
    pub fn sample(&self, opened: &mut Opened, has_header: bool) -> Result<Sample, PlanError> {
        if let (Source::Columns(file, _), Some(format)) = (&opened.kind, opened.form.columnar()) {
            let shape = self.aside.run(look_at, (RawPath::from(file.as_path()), format));
            let mut shape =
                shape.map_err(|error| opened.unreadable(&error))?.map_err(|cause| opened.unreadable(&cause))?;
            opened.take_groups(&mut shape);
            return Ok(Sample { names: shape.names.clone(), shape: Some(shape), ..Sample::default() });
        }
        let text = opened.head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&opened.head);
        let ask = Ask { form: opened.form, text: ByteBuf::from(text), is_all: opened.is_all, has_header };
        let sample = self.aside.run(sample, ask)?;
        sample.map_err(|cause| opened.unreadable(&cause))
    }

    /// The worker that looks at inputs.
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// The chunks of an input behind so many bytes of header, for an output of this form.
    ///
    /// # Errors
    /// Those of opening it again.
    pub fn chunks(&self, opened: Opened, header_bytes: u64, to: Form) -> io::Result<Chunks> {
        let Opened { path, form, kind, mut head, stamp, .. } = opened;
        let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() as u64 } else { 0 };
        let begin = mark + header_bytes;
        let cut = match form {
            Form::Array => Cut::elements(),
            Form::Lines => Cut::Lines,
            Form::Csv(dialect) => Cut::rows(dialect),
            Form::Columnar(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let is_grouped = to.columnar().is_some();
        let source: Box<dyn data::Source> = match kind {
            Source::Plain => {
                let mut file = Regular::open(&path)?;
                file.seek(begin)?;
                let bytes = stamp.map_or(0, |stamp| stamp.bytes);
                let chunk_bytes = match is_grouped {
                    true => (bytes / GROUPS_A_FILE).clamp(MIN_GROUP_CHUNK_BYTES, GROUP_CHUNK_BYTES),
                    false => (bytes / CHUNKS_A_FILE).clamp(MIN_FILE_CHUNK_BYTES, FILE_CHUNK_BYTES),
                };
                return Ok(Chunks::new(Box::new(file), Vec::new(), begin, cut, chunk_bytes as usize, false));
            }
            Source::Packed(file) => {
                let mut decoded = self.aside.decode(&file);
                io::copy(&mut (&mut decoded).take(begin), &mut io::sink())?;
                head.clear();
                Box::new(decoded)
            }
            Source::Stream(source) => {
                head.drain(..head.len().min(begin as usize));
                Box::new(source)
            }
            Source::Columns(..) => return Err(io::ErrorKind::Unsupported.into()),
        };
        let chunk_bytes = if is_grouped { GROUP_CHUNK_BYTES as usize } else { STREAM_CHUNK_BYTES };
        Ok(Chunks::new(source, head, begin, cut, chunk_bytes, true))
    }
}

fn look_at((path, format): (RawPath, Columnar)) -> Result<Shape, String> {
    look(&path, format)
}
