//! The arguments of `procession hash`.

use std::path::PathBuf;

use crate::walk::WalkArgs;

use super::algorithm::Algorithm;

/// Print or check checksums of files
#[derive(Debug, Clone, Default, clap::Args)]
pub struct HashArgs {
    /// Files, folders with all that is below them, or `-` for standard input; with --check, lists of checksums
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Checksum to compute [default: sha256]; with --check, that of lines without a tag [default: by their length]
    #[arg(short, long, value_enum, value_name = "NAME")]
    pub algorithm: Option<Algorithm>,

    /// Which files inside folders
    #[command(flatten)]
    pub walk: WalkArgs,

    /// Write BSD-style lines: SHA256 (path) = digest
    #[arg(long)]
    pub tag: bool,

    /// End lines with NUL instead of a newline, and do not escape names
    #[arg(short, long)]
    pub zero: bool,

    /// Read lists of checksums from the PATHs and check the files that they name
    #[arg(short, long, conflicts_with_all = ["tag", "zero", "include", "exclude"])]
    pub check: bool,

    /// Do not fail or report a status for missing files
    #[arg(long, requires = "check")]
    pub ignore_missing: bool,

    /// Exit with 1 for improperly formatted lines, too
    #[arg(long, requires = "check")]
    pub strict: bool,

    /// Print no OK for files that match
    #[arg(id = "check_quiet", long = "quiet", requires = "check", overrides_with_all = ["check_status", "check_warn"])]
    pub quiet: bool,

    /// Print nothing: the exit code says it
    #[arg(id = "check_status", long = "status", requires = "check", overrides_with_all = ["check_quiet", "check_warn"])]
    pub status: bool,

    /// Name each improperly formatted line
    #[arg(
        id = "check_warn",
        short = 'w',
        long = "warn",
        requires = "check",
        overrides_with_all = ["check_quiet", "check_status"]
    )]
    pub warn: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        hash: HashArgs,
    }

    fn parse(words: &[&str]) -> Result<HashArgs, clap::Error> {
        Command::try_parse_from(std::iter::once("hash").chain(words.iter().copied())).map(|command| command.hash)
    }

    #[test]
    fn the_last_of_quiet_status_and_warn_counts() {
        let args = parse(&["-c", "--quiet", "--warn", "--status", "list"]).unwrap();
        assert_eq!((args.quiet, args.warn, args.status), (false, false, true));
        let args = parse(&["-c", "--status", "-w", "list"]).unwrap();
        assert_eq!((args.quiet, args.warn, args.status), (false, true, false));
    }

    #[test]
    fn flags_of_one_mode_are_refused_in_the_other() {
        for words in [
            &["--quiet", "a"][..],
            &["--status", "a"],
            &["-w", "a"],
            &["--strict", "a"],
            &["--ignore-missing", "a"],
            &["--check", "--tag", "a"],
            &["--check", "-z", "a"],
            &["--check", "--include", "*.c", "a"],
            &[],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(parse(&["--tag", "-z", "-a", "blake3", "--include", "*.c", "-", "a"]).is_ok());
    }
}
