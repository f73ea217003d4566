//! The command line: the jobs, and the flags that all of them take.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Args, Parser, Subcommand, ValueEnum};
use procession::Limits;
use procession_jobs::hash::HashArgs;
use procession_jobs::logs::LogsArgs;
use procession_jobs::transform::TransformArgs;

use crate::doctor::DoctorArgs;
use crate::pages::{CompletionsArgs, ManArgs};

/// Batch jobs that use every core, survive bad input and crashes, and end in one report.
#[derive(Debug, Parser)]
#[command(name = "procession", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Command {
    /// What to do.
    #[command(subcommand)]
    pub job: JobCommand,
}

const EXIT_CODES: &str = "Exit codes: 0 every task done, 1 some task failed (the rest is done and reported), \
2 bad usage, nothing was written, 130 interrupted \
(what was done is reported, and the report says that it is not complete).";

/// One line for each job.
#[derive(Debug, Subcommand)]
pub enum JobCommand {
    /// Count log lines, by patterns and by fields, and measure what is in them
    #[command(long_about = long_about::<LogsArgs>(), after_help = LOGS_EXAMPLES)]
    Logs(JobArgs<LogsArgs>),
    /// Print or check checksums of files
    #[command(after_help = HASH_EXAMPLES)]
    Hash(JobArgs<HashArgs>),
    /// Turn rows of data into another format: JSON, NDJSON, CSV, TSV, Parquet, Arrow
    #[command(long_about = long_about::<TransformArgs>(), after_help = TRANSFORM_EXAMPLES)]
    Transform(JobArgs<TransformArgs>),
    /// Tell what this machine gives to run jobs, and what to do about what is missing
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete words
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Print a manual page
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArgs),
}

/// A job's own arguments, and those of every job.
#[derive(Debug, Clone, Args)]
pub struct JobArgs<T: Args> {
    /// The job's own.
    #[command(flatten)]
    pub own: T,
    /// Those of every job.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What a job's arguments say of the job: the line above in `JobCommand` would stand in its place.
fn long_about<A: Args>() -> StyledStr {
    A::augment_args(clap::Command::default()).get_long_about().cloned().unwrap_or_default()
}

const LOGS_EXAMPLES: &str = "Examples:
  procession logs -e 'ERROR|WARN' /var/log
  procession logs -e errors=ERROR -e slow='took=[0-9]{4,}ms' --show 5 app.log app.log.1.gz
  zcat old.gz | procession logs -e ERROR --format json -
  procession logs --parse nginx --by status,method --top 10 access.log
  procession logs --where 'level = \"error\"' --histogram 1m --since 1h app.ndjson
  procession logs --by host --stats duration_ms --format csv -o slow.csv app.ndjson";

const HASH_EXAMPLES: &str = "Examples:
  procession hash ~/backups > SHA256SUMS
  procession hash --check SHA256SUMS
  procession hash --algorithm blake3 huge.img";

const TRANSFORM_EXAMPLES: &str = "Examples:
  procession transform events.json -o events.csv --select ts=timestamp,value,host.name
  procession transform a.csv b.csv.gz -o all.ndjson.zst --where 'status >= 500'
  procession transform a.csv -o b.csv --set ms='took * 1000' --on-bad-row quarantine=bad.csv
  procession transform events.csv -o events.parquet --schema 'price:decimal(18,2),ts:timestamp'
  procession transform events.parquet --to csv --where 'host.name is not null' --limit 10
  curl -s https://example.org/rows.json | procession transform --from json - --to csv --limit 10

-o/--output is where the rows go; the report goes to standard output, or to standard error if the rows go there.";

const DOCTOR_EXAMPLES: &str = "Examples:
  procession doctor
  procession doctor --format json";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  procession completions fish > ~/.config/fish/completions/procession.fish
  source <(procession completions bash)";

const MAN_EXAMPLES: &str = "Examples:
  procession man transform | man -l -
  procession man > procession.1";

/// Flags of every job.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Running")]
#[command(group = clap::ArgGroup::new("written").args(["output", "journal", "joblog"]).multiple(true))]
pub struct CommonArgs {
    /// Worker processes [default: the CPUs that this process may use]
    #[arg(short = 'j', long, value_name = "N", value_parser = parse_workers, allow_negative_numbers = true)]
    pub workers: Option<usize>,

    /// Kill a task that runs longer than DUR (500ms, 30s, 5m, 1h); waiting for a stream's bytes is none
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_negative_numbers = true)]
    pub timeout: Option<Duration>,

    /// Try a task again, up to N times, if its worker crashed, or it ran out of time or memory
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub retries: u32,

    /// Kill a task whose worker uses more memory than SIZE (500M, 2G)
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    pub memory_limit: Option<u64>,

    /// Kill a task that uses more CPU time than DUR (500ms, 30s, 5m, 1h)
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_negative_numbers = true)]
    pub cpu_limit: Option<Duration>,

    /// Start a task only while SIZE of memory is available; below half of it the youngest task waits, too
    #[arg(long, value_name = "SIZE", value_parser = parse_size, allow_negative_numbers = true)]
    pub memfree: Option<u64>,

    /// Start a task only while fewer than N threads run on the machine (or N% of its CPUs)
    #[arg(long, value_name = "N", value_parser = parse_load, allow_negative_numbers = true)]
    pub load: Option<f64>,

    /// Wait for DUR after the start of each task
    #[arg(long, value_name = "DUR", value_parser = parse_duration, allow_negative_numbers = true)]
    pub delay: Option<Duration>,

    /// Stop at the first failed task, and plan no others [default: do all others]
    #[arg(long)]
    pub fail_fast: bool,

    /// Do only the tasks with these numbers, as --dry-run and `failures[].task` of --format json have them
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub only: Option<Vec<usize>>,

    /// Whether the kernel keeps workers to their inputs: no other files, no network, no programs
    #[arg(long, value_enum, value_name = "MODE", default_value_t = Sandbox::Auto)]
    pub sandbox: Sandbox,

    /// Print the tasks, run none
    #[arg(long)]
    pub dry_run: bool,

    /// Form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table, help_heading = "Output")]
    pub format: Format,

    /// Write the report (transform: the rows) to PATH [default: standard output, also `-`]
    #[arg(short, long, value_name = "PATH", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Replace an existing PATH; without --resume also an existing FILE of --journal and --joblog
    #[arg(long, requires = "written", help_heading = "Output")]
    pub force: bool,

    /// How the job is recorded, to go on after a crash or a kill.
    #[command(flatten)]
    pub record: RecordArgs,

    /// Show progress on standard error: auto does if that is a terminal
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto, help_heading = "Output")]
    pub progress: When,

    /// Print no summary and no hints; errors and warnings stay
    #[arg(short, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,

    /// Print a line for each finished task
    #[arg(short, help_heading = "Output")]
    pub verbose: bool,

    /// Form of messages on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text, help_heading = "Output")]
    pub log_format: LogFormat,
}

impl CommonArgs {
    /// What each worker may use.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::new();
        if let Some(bytes) = self.memory_limit {
            limits = limits.memory(bytes);
        }
        if let Some(time) = self.cpu_limit {
            limits = limits.cpu_time(time);
        }
        limits
    }
}

/// Flags of every job for what is written down of its tasks.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recording")]
pub struct RecordArgs {
    /// Write the result of each finished task to FILE, for --resume
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,

    /// Go on with the journal: tasks that it has are not run again, unless their input has changed
    #[arg(long, requires = "journal")]
    pub resume: bool,

    /// Tell changed inputs by a hash, too, not by size, time and inode alone: reads each file twice
    #[arg(long, requires = "journal")]
    pub journal_hash: bool,

    /// Write a line for each task to FILE as it ends, in the columns of GNU parallel; Seq counts from 0
    #[arg(long, value_name = "FILE")]
    pub joblog: Option<PathBuf>,
}

/// More is a slip of the finger.
const MAX_WORKERS: usize = 512;

/// Forms of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; for `hash` the lines that `sha256sum --check` reads
    Table,
    /// One object
    Json,
    /// Rows under a header; if the run is cut short none to a file of -o, where nothing would tell that some are missing
    Csv,
}

/// What keeps workers to their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sandbox {
    /// Landlock and seccomp, as far as the kernel has them
    Auto,
    /// Both, or exit with 2
    Require,
    /// Nothing
    Off,
}

/// When to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal
    Auto,
    /// Also if standard error is no terminal
    Always,
    /// Not at all
    Never,
}

/// Forms of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines of text
    Text,
    /// A JSON object a line
    Json,
}

fn parse_workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MAX_WORKERS).contains(&n) => Ok(n),
        _ => Err(format!("must be a number from 1 to {MAX_WORKERS}")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "must be a number with a unit: 500ms, 30s, 5m, 1h".to_string();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    match Duration::try_from_secs_f64(number * unit) {
        Ok(Duration::ZERO) | Err(_) => Err("must be more than nothing, and less than for ever".to_string()),
        Ok(duration) => Ok(duration),
    }
}

/// A number of bytes: 4096, 500M, 2GiB. Units are powers of 1024.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "must be a number with a unit: 64K, 500M, 2G, 1T".to_string();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = text[digits..].to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let shift = ["", "k", "m", "g", "t", "p"].iter().position(|name| *name == unit).ok_or_else(wrong)?;
    let bytes = number * (1u64 << (10 * shift)) as f64;
    if (1.0..=(1u64 << 60) as f64).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err("must be at least a byte, and less than an exbibyte".to_string())
    }
}

/// A number of threads, or a share of the CPUs.
fn parse_load(text: &str) -> Result<f64, String> {
    let wrong = || "must be a number, or a share of the CPUs: 4, 80%".to_string();
    let (number, is_share) = text.strip_suffix('%').map_or((text, false), |number| (number, true));
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let threads = if is_share { number / 100.0 * cpus } else { number };
    if threads > 0.0 && threads < 1e6 { Ok(threads) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_fit_together() {
        Command::command().debug_assert();
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        for bad in ["", "s", "-1s", "0s", "5 parsecs", "1..2s", "1e400h", "99999999999999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("4096", 4096), ("1K", 1024), ("1.5M", 3 << 19), ("2GiB", 2 << 30), ("3gb", 3 << 30)] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "M", "-1M", "0", "1Q", "1e3", "nan", "9999999P", "1..2K", "1 M"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_load_is_a_number_or_a_share() {
        assert_eq!(parse_load("2.5"), Ok(2.5));
        assert!(parse_load("50%").unwrap() > 0.0 && parse_load("100%").unwrap() == 2.0 * parse_load("50%").unwrap());
        for bad in ["", "%", "-1", "0", "inf", "nan", "many", "5%%"] {
            assert!(parse_load(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn there_is_at_least_one_worker() {
        assert_eq!(parse_workers("3"), Ok(3));
        for bad in ["0", "-1", "many", "513", "99999999999999999999"] {
            assert!(parse_workers(bad).is_err(), "{bad}");
        }
    }
}
