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
    let page = match &args.job {
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
    let _ = Man::new(page).render(&mut out);
    print("man", &out)
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
