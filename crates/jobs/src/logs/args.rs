//! The command line of `procession logs`.

use std::path::PathBuf;
use std::time::Duration;

use crate::parse::LineFormat;
use crate::time::parse_span;
use crate::walk::WalkArgs;

/// Count lines, and the lines that match patterns, in files, folders and streams; group and measure them by fields.
///
/// A line counts once per pattern, as with `grep -c`. Files compressed with gzip, zstd, xz or bzip2 are read through,
/// whatever they are called.
///
/// With --parse, or a flag that needs fields, lines are read into fields (docs/log-formats.md). Lines that cannot be read are
/// counted as unparsed. Those that can be read and pass --where, --since and --until are counted as selected: patterns, groups,
/// statistics and the histogram are of these. --format csv has the groups; without --by the histogram, else the statistics.
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

    /// Show the first N matching lines of each pattern, as PATH:OFFSET: LINE (the offset in bytes; long lines are cut, and all
    /// together take 64 MiB at most).
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub show: Option<usize>,

    /// Read lines into fields: auto, json, logfmt, nginx, apache, syslog, or the named groups of regex:REGEX [default: auto,
    /// if another flag needs fields]
    #[arg(long, value_name = "FORMAT", help_heading = "Fields")]
    pub parse: Option<LineFormat>,

    /// Count only lines for which EXPR is true: `status >= 500 and host.name is not null` (docs/expressions.md). A line for
    /// which it cannot be told is counted as unparsed.
    #[arg(long = "where", value_name = "EXPR", allow_hyphen_values = true, help_heading = "Fields")]
    pub condition: Option<String>,

    /// Count only lines from WHEN on: a time, a date (both of UTC if they have no offset), or so long ago (90s, 15m, 1h, 2d).
    /// With --journal give a time: so long ago is another time when the run is resumed.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, help_heading = "Fields")]
    pub since: Option<String>,

    /// Count only lines from before WHEN, which is as with --since.
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true, help_heading = "Fields")]
    pub until: Option<String>,

    /// The field of a line's time; without it the format's own, else timestamp, @timestamp, time, ts, date or datetime.
    #[arg(long, value_name = "FIELD", help_heading = "Fields")]
    pub time: Option<String>,

    /// Count lines by the values of these fields; a line without one counts under null. A number and a text are different values, and so are 1 and 1.0.
    #[arg(long, value_name = "[NAME=]FIELD,...", help_heading = "Fields")]
    pub by: Option<String>,

    /// Count, least, mean, quantiles and largest of the numbers in FIELD (repeatable), with --by of each group. Quantiles are
    /// within 1 %, all else is exact.
    #[arg(long, value_name = "FIELD", help_heading = "Fields")]
    pub stats: Vec<String>,

    /// Show only the K groups with the most lines [default: 50 in the table, 100,000 in JSON and CSV]
    #[arg(long, value_name = "K", value_parser = parse_top, requires = "by", allow_negative_numbers = true, help_heading = "Fields")]
    pub top: Option<usize>,

    /// Count lines by spans of time of this length (1s, 1m, 1h, 1d), which begin at whole multiples of it in UTC.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, allow_hyphen_values = true, help_heading = "Fields")]
    pub histogram: Option<Duration>,

    /// Show the first N lines that cannot be read, as PATH:OFFSET: REASON: LINE (64 MiB of them at most).
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Fields")]
    pub show_unparsed: Option<usize>,

    /// Which files inside folders are read.
    #[command(flatten)]
    pub walk: WalkArgs,
}

fn parse_top(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|top| *top > 0).ok_or_else(|| "must be a number from 1 on".to_string())
}
