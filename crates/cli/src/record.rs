//! What is written down of a run: the journal, the joblog, and which tasks they are for.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use procession::{Error, ErrorKind, Journal};
use procession_jobs::{Existing, Joblog, Records, Selection, Stamp, without_number};

use crate::flags::CommonArgs;
use crate::log::Log;

/// Opens what the flags ask for; `purpose` is what the journal is for.
///
/// # Errors
/// When a file is there that must not be touched, or cannot be used.
pub fn open(common: &CommonArgs, purpose: &str, log: &Log) -> Result<Records, String> {
    let args = &common.record;
    let journal = match &args.journal {
        Some(path) => Some(open_journal(path, purpose, common, log)?),
        None => None,
    };
    is_one_file_each(common)?;
    is_one_file_each(common)?;
    let existing = match (args.resume, common.force) {
        (true, _) => Existing::Append,
        (false, true) => Existing::Replace,
        (false, false) => Existing::Refuse,
    };
    let joblog = args.joblog.as_deref().map(|path| Joblog::open(path, existing)).transpose();
    let joblog = joblog.map_err(|error| error.to_string())?;
    // Again, now that the joblog is there, too.
    is_one_file_each(common)?;
    let selection = selection(common);
    Ok(Records { journal, compares_content: args.journal_hash, joblog, selection })
}

/// The tasks that the flags choose.
pub fn selection(common: &CommonArgs) -> Selection {
    let own = common.record.journal.iter().chain(&common.record.joblog);
    Selection::new(common.only.as_ref().map(|only| only.iter().copied().collect()), own.map(|path| path.as_path()))
}

fn open_journal(path: &Path, purpose: &str, common: &CommonArgs, log: &Log) -> Result<Journal, String> {
    let opened = match (common.record.resume, common.force) {
        (true, _) => Journal::resume(path, purpose),
        (false, true) => Journal::replace(path, purpose),
        (false, false) => Journal::create(path, purpose),
    };
    let journal = opened.map_err(|error| describe(&error))?;
    if journal.lost_bytes() > 0 {
        let (path, bytes) = (path.display(), journal.lost_bytes());
        log.info(&format_args!("the journal `{path}` ended in {bytes} bytes that are no record: they are cut off"));
    }
    Ok(journal)
}

/// Checks that the journal, the joblog and the report are files of their own, as far as they are there.
fn is_one_file_each(common: &CommonArgs) -> Result<(), String> {
    let record = &common.record;
    let named = [("--journal", &record.journal), ("--joblog", &record.joblog), ("-o/--output", &common.output)];
    let stamp = |path: &PathBuf| std::fs::metadata(path).ok().filter(Metadata::is_file).map(|meta| Stamp::of(&meta));
    let files: Vec<(&str, &PathBuf, Stamp)> =
        named.iter().filter_map(|(flag, path)| path.as_ref().and_then(|p| Some((*flag, p, stamp(p)?)))).collect();
    for (at, (flag, path, file)) in files.iter().enumerate() {
        if let Some((other, ..)) = files[..at].iter().find(|(.., other)| other.is_same_file(file)) {
            let what = other.trim_start_matches('-');
            return Err(format!("failed to write `{}`: it is the {what} ({flag}, {other})", path.display()));
        }
    }
    Ok(())
}

/// The error, and the flags that help.
fn describe(error: &Error) -> String {
    let help = match error.kind() {
        ErrorKind::Exists => " (--resume goes on with it, --force begins anew)",
        ErrorKind::OtherPurpose => " (--force without --resume begins anew)",
        _ => " (--journal)",
    };
    format!("{}{help}", without_number(error))
}
