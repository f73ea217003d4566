//! The result of hashing: one line per file.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::{Item, Report, Streamed, Table};

use super::digest::Digest;
use super::join::Join;
use super::line::LineStyle;
use super::task::Done;

/// The digests so far.
#[derive(Debug)]
pub struct Sums {
    style: LineStyle,
    join: Join,
    files: Vec<Sum>,
}

/// The digest of one file.
#[derive(Debug)]
struct Sum {
    input: usize,
    path: Arc<Path>,
    bytes: u64,
    digest: Digest,
}

impl Sums {
    /// No digests yet.
    pub fn new(style: LineStyle, join: Join) -> Sums {
        Sums { style, join, files: Vec::new() }
    }

    /// The checksum and how its lines are written.
    pub fn style(&self) -> LineStyle {
        self.style
    }

    /// Takes in what a task found.
    pub fn fold(&mut self, item: &Item, done: Done) {
        let (bytes, digest) = match done {
            Done::File { bytes, digest } => (bytes, Some(digest)),
            Done::Piece { index, file_bytes, chain } => {
                (file_bytes, self.join.add(item.input, index, file_bytes, chain))
            }
            // Only the result of a list has unreadable files.
            Done::Unreadable { .. } => return,
        };
        if let Some(digest) = digest {
            self.files.push(Sum { input: item.input, path: item.path.clone(), bytes, digest });
        }
    }

    /// Takes in that a file, or a piece of it, failed.
    pub fn fold_failure(&mut self, item: &Item) {
        self.join.drop_input(item.input);
    }

    /// The result, in the order of the inputs.
    pub fn report(mut self) -> Box<dyn Report> {
        self.files.sort_unstable_by_key(|file| file.input);
        Box::new(self)
    }
}

impl Report for Sums {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.files.iter().try_for_each(|file| self.style.write(out, &file.path, &file.digest))
    }

    fn remark(&self, remark: &str) -> Option<String> {
        // What reads lines of checksums passes over comments; where names end with NUL it knows none.
        (!self.style.zero).then(|| format!("# {remark}"))
    }

    fn result(&self) -> Streamed<'_> {
        let file = |file: &Sum| {
            let path = file.path.to_string_lossy();
            json!({ "path": path, "bytes": file.bytes, "digest": file.digest.to_string() })
        };
        let files = Streamed::rows(move || self.files.iter().map(file));
        Streamed::Object(vec![("algorithm", json!(self.style.algorithm).into()), ("files", files)])
    }

    fn table(&self) -> Table {
        let row = |file: &Sum| {
            vec![file.digest.to_string(), file.bytes.to_string(), file.path.to_string_lossy().into_owned()]
        };
        Table {
            header: ["digest", "bytes", "path"].map(String::from).to_vec(),
            rows: self.files.iter().map(row).collect(),
        }
    }

    fn is_bad(&self) -> bool {
        self.join.unfinished() > 0
    }

    fn warnings(&self) -> Vec<String> {
        match self.join.unfinished() {
            0 => Vec::new(),
            files => vec![format!("failed to hash {files} large file(s): not all of their pieces were done")],
        }
    }
}
