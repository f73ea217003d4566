//! The command line of `procession logs`.

use std::path::PathBuf;

use crate::walk::WalkArgs;

/// Count lines, and the lines that match patterns, in files, folders and streams.
///
/// A line counts once per pattern, as with `grep -c`. Files compressed with gzip, zstd, xz or bzip2 are read through,
/// whatever they are called.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LogsArgs {
    /// Files, folders (with all that is below them), or `-` for standard input.
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,

    /// Count the lines that match REGEX, under NAME (repeatable). Without NAME the regex is its own name; a regex that
    /// looks like NAME=REGEX itself is written `=REGEX`.
    #[arg(short = 'e', long = "match", value_name = "[NAME=]REGEX", allow_hyphen_values = true)]
    pub matches: Vec<String>,

    /// Count matching lines only, not all lines: faster.
    #[arg(long)]
    pub count_only: bool,

    /// Show the first N matching lines of each pattern, as PATH:OFFSET: LINE (the offset in bytes; long lines are cut).
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub show: Option<usize>,

    /// Which files inside folders are read.
    #[command(flatten)]
    pub walk: WalkArgs,
}
