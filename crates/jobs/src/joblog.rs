//! A log of the tasks in the columns of GNU parallel's `--joblog`.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use procession::FailureKind;

use crate::{Item, PlanError, describe, printable};

const HEADER: &str = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/// A log of the tasks, one line each, with tabs between the columns of GNU parallel (parallel(1), `--joblog`):
///
/// | column | here |
/// | --- | --- |
/// | Seq | the task's number in the plan, from 0 |
/// | Host | `:`, this machine |
/// | Starttime | seconds since 1970, when the last attempt began |
/// | JobRuntime | how long that took, in seconds |
/// | Send | bytes of input |
/// | Receive | 0 |
/// | Exitval | 0 done, 1 failed, -1 out of time, or the exit code of a worker that ended |
/// | Signal | the one that ended the worker; 15 out of time |
/// | Command | the job and the input |
#[derive(Debug)]
pub struct Joblog {
    path: PathBuf,
    file: File,
    problem: RefCell<Option<String>>,
}

/// What to do with a log that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error, unless it has no lines yet.
    Refuse,
    /// New lines follow its own.
    Append,
    /// Its lines are lost.
    Replace,
}

/// How a task ended, in the words of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    code: i32,
    signal: i32,
}

impl Exit {
    /// It was done.
    pub const DONE: Exit = Exit { code: 0, signal: 0 };
    /// It failed.
    pub const FAILED: Exit = Exit { code: 1, signal: 0 };

    /// How a task ended that failed; none if it was given up.
    pub fn of(kind: &FailureKind) -> Option<Exit> {
        Some(match kind {
            FailureKind::Cancelled { .. } => return None,
            FailureKind::TimedOut { .. } => Exit { code: -1, signal: 15 },
            FailureKind::Crashed { exit_code, signal, .. } => {
                Exit { code: exit_code.unwrap_or(0), signal: signal.unwrap_or(0) }
            }
            _ => Exit::FAILED,
        })
    }
}

impl Joblog {
    /// Opens a log; begins one if there is none.
    ///
    /// # Errors
    /// When there is one and it is neither to be replaced nor appended to, or the system refuses.
    pub fn open(path: &Path, existing: Existing) -> Result<Joblog, PlanError> {
        let failed = |why: &str| PlanError::new(format_args!("failed to write `{}`: {why}", path.display()));
        let io = |cause: io::Error| failed(&format!("{} (--joblog)", describe(&cause)));
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if existing == Existing::Refuse && len > 0 && !is_header(&file, len) {
            return Err(failed("it exists (--resume adds to it, --force replaces it)"));
        }
        if existing == Existing::Replace && len > 0 {
            file.set_len(0).map_err(io)?;
        }
        let start = if len == 0 || existing == Existing::Replace {
            HEADER
        } else if ends_in_a_line(&file, len) {
            ""
        } else {
            "\n"
        };
        (&file).write_all(start.as_bytes()).map_err(io)?;
        Ok(Joblog { path: path.to_path_buf(), file, problem: RefCell::default() })
    }

    /// Adds the line of a task that has just ended.
    pub(crate) fn write(&self, job: &str, number: usize, item: &Item, elapsed: Duration, exit: Exit) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = format!(
            "{number}\t:\t{:.3}\t{:10.3}\t{}\t0\t{}\t{}\t{job} {}\n",
            now.saturating_sub(elapsed).as_secs_f64(),
            elapsed.as_secs_f64(),
            item.bytes,
            exit.code,
            exit.signal,
            printable(&item.path.to_string_lossy()).replace('\t', "\\t"),
        );
        let mut problem = self.problem.borrow_mut();
        if problem.is_none()
            && let Err(cause) = (&self.file).write_all(line.as_bytes())
        {
            *problem = Some(format!("failed to write `{}`: {} (--joblog)", self.path.display(), describe(&cause)));
        }
    }

    /// Why it does not have all lines, if so.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.borrow().clone()
    }
}

fn is_header(file: &File, len: u64) -> bool {
    let mut bytes = [0; HEADER.len()];
    len == HEADER.len() as u64 && file.read_exact_at(&mut bytes, 0).is_ok() && bytes == *HEADER.as_bytes()
}

fn ends_in_a_line(file: &File, len: u64) -> bool {
    let mut last = [b'\n'];
    // What cannot be read, like a fifo, has no unfinished line.
    len == 0 || file.read_exact_at(&mut last, len - 1).is_err() || last == [b'\n']
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_nothing_is_lost_unasked() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("log");
        let item = Item { input: 0, path: Path::new("a\tb\n").into(), bytes: 7, stamp: None };
        drop(Joblog::open(&path, Existing::Refuse).unwrap());
        let log = Joblog::open(&path, Existing::Refuse).unwrap();
        log.write("hash", 3, &item, Duration::from_millis(1500), Exit { code: 0, signal: 9 });
        assert_eq!(log.problem(), None);
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.strip_prefix(HEADER).unwrap();
        let columns: Vec<&str> = line.trim_end().split('\t').collect();
        assert_eq!(columns[..2], ["3", ":"]);
        assert_eq!(columns[3..], ["     1.500", "7", "0", "0", "9", "hash a\\tb\\n"]);
        let refused = Joblog::open(&path, Existing::Refuse).unwrap_err().to_string();
        assert!(refused.ends_with("it exists (--resume adds to it, --force replaces it)"), "{refused}");
        std::fs::write(&path, &text[..text.len() - 5]).unwrap();
        Joblog::open(&path, Existing::Append).unwrap().write("hash", 4, &item, Duration::ZERO, Exit::DONE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.split('\t').count() == 9), "{text}");
        drop(Joblog::open(&path, Existing::Replace).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), HEADER);
        let problem = Joblog::open(folder.path(), Existing::Append).unwrap_err().to_string();
        assert!(problem.ends_with("is a directory (--joblog)"), "{problem}");
    }
}
