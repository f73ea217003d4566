//! Where bad rows go: a file that can be mended and read again, and beside it a file that tells what is wrong with each.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::data::csv;
use crate::{NewFile, PlanError, Replace, TaskError, printable};

use super::layout::Form;
use super::sample::Sample;

/// The bad rows of a job, and the reasons.
#[derive(Debug)]
pub struct Quarantine {
    rows: NewFile,
    reasons: NewFile,
    /// What stands before the first row.
    header: Vec<u8>,
}

impl Quarantine {
    /// Begins the file `path` and the one with `.reasons` behind its name.
    ///
    /// # Errors
    /// When one exists and may not be replaced, or cannot be written.
    pub fn new(path: &Path, replace: Replace, header: Vec<u8>) -> Result<Quarantine, TaskError> {
        let mut beside = OsString::from(path);
        beside.push(".reasons");
        let reasons = NewFile::create(PathBuf::from(beside), replace)?;
        Ok(Quarantine { rows: NewFile::create(path, replace)?, reasons, header })
    }

    /// Adds the bad rows of a task: as they are, and one line for each that is described.
    ///
    /// # Errors
    /// Those of writing.
    pub fn add(&mut self, rows: &[u8], places: &[String], undescribed: u64) -> Result<(), TaskError> {
        if rows.is_empty() {
            return Ok(());
        }
        // Only now: a file without bad rows is empty.
        for bytes in [&std::mem::take(&mut self.header), rows] {
            self.rows.write_all(bytes).map_err(|cause| self.rows.error(&cause))?;
        }
        let more = (undescribed > 0).then(|| format!("{undescribed} more bad rows"));
        for line in places.iter().chain(&more) {
            writeln!(self.reasons, "{}", printable(line)).map_err(|cause| self.reasons.error(&cause))?;
        }
        Ok(())
    }

    /// Gives both files their names.
    ///
    /// # Errors
    /// Those of writing.
    pub fn commit(self) -> Result<(), TaskError> {
        self.rows.commit()?;
        self.reasons.commit()
    }
}

/// What stands before the rows of an input: the header of CSV, if it has one.
pub fn header(form: Form, sample: &Sample, has_header: bool) -> Vec<u8> {
    let mut header = Vec::new();
    if let Form::Csv(dialect) = form
        && has_header
    {
        for (n, name) in sample.names.iter().enumerate() {
            if n > 0 {
                header.push(dialect.delimiter);
            }
            csv::write_text(name.as_bytes(), dialect, &mut header);
        }
        header.push(b'\n');
    }
    header
}

/// The one header of all inputs: rows of different ones cannot be read from one file.
///
/// # Errors
/// When they differ.
pub fn common_header(inputs: &[(Form, Vec<u8>)]) -> Result<Vec<u8>, PlanError> {
    // Bad rows of an array are written as lines.
    let as_lines = |form: Form| if form == Form::Array { Form::Lines } else { form };
    let Some((form, header)) = inputs.first() else { return Ok(Vec::new()) };
    if inputs.iter().any(|(other, text)| as_lines(*other) != as_lines(*form) || text != header) {
        return Err(PlanError::new(
            "the bad rows of inputs with different formats or headers cannot be in one file \
             (--on-bad-row quarantine=FILE; a run for each input, or skip)",
        ));
    }
    Ok(header.clone())
}
