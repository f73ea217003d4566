//! `procession completions` and `procession man`: what shells and man(1) need to know of the command line.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::aot::{Bash, Fish, Zsh, generate};
use clap_mangen::Man;

use crate::flags::Command;

const NAME: &str = "procession";

/// Flags of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete words
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// A file for /usr/share/bash-completion/completions
    Bash,
    /// A file `_procession` for a folder of $fpath
    Zsh,
    /// A file for ~/.config/fish/completions
    Fish,
}

/// Flags of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The job that the page is about [default: all of them, in short]
    #[arg(value_name = "JOB")]
    job: Option<String>,
}

/// Prints the completions of a shell.
pub fn completions(args: &CompletionsArgs) -> ExitCode {
    let (mut command, mut out) = (Command::command(), Vec::new());
    match args.shell {
        Shell::Bash => generate(Bash, &mut command, NAME, &mut out),
        Shell::Zsh => generate(Zsh, &mut command, NAME, &mut out),
        Shell::Fish => generate(Fish, &mut command, NAME, &mut out),
    }
    print("completions", &out)
}

/// Prints a page in the language of man(1).
pub fn man(args: &ManArgs) -> ExitCode {
    let mut command = Command::command();
    command.build();
    let mut page = match &args.job {
        None => command,
        Some(job) => match command.find_subcommand(job) {
            Some(found) => found.clone(),
            None => {
                let known: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
                let message = format!("there is no job `{job}`, but {}", known.join(", "));
                command.error(ErrorKind::InvalidValue, message).exit()
            }
        },
    };
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = write_page(&mut page, &mut out);
    print("man", &out)
}

/// Writes a page, with a synopsis in one line and examples as they are: clap_mangen would name every flag and fill the lines.
fn write_page(page: &mut clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    let usage = page.render_usage().to_string();
    let help = page.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(page.clone());
    man.render_title(out)?;
    man.render_name_section(out)?;
    write_section(out, "SYNOPSIS", usage.trim_start_matches("Usage: "))?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if page.has_subcommands() {
        man.render_subcommands_section(out)?;
    }
    match help.strip_prefix("Examples:\n") {
        Some(examples) => write_section(out, "EXAMPLES", examples),
        None if help.is_empty() => Ok(()),
        None => write_section(out, "EXIT STATUS", &help),
    }
}

/// Writes a section whose indented lines stay as they are (groff_man(7)).
fn write_section(out: &mut Vec<u8>, heading: &str, text: &str) -> io::Result<()> {
    writeln!(out, ".SH {heading}")?;
    let mut is_filled = true;
    for line in text.lines() {
        let fills = !line.starts_with(' ');
        if fills != is_filled {
            writeln!(out, "{}", if fills { ".fi" } else { ".nf" })?;
            is_filled = fills;
        }
        if line.is_empty() {
            writeln!(out, ".PP")?;
            continue;
        }
        // At the begin of a line a point and an apostrophe would be commands.
        writeln!(out, "\\&{}", line.trim_start().replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq"))?;
    }
    if is_filled { Ok(()) } else { writeln!(out, ".fi") }
}

fn print(job: &str, text: &[u8]) -> ExitCode {
    match io::stdout().lock().write_all(text).and_then(|()| io::stdout().flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr().lock(), "{NAME} {job}: failed to write to standard output: {e}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
