//! The command line, and how this program tells itself what to be when it starts itself again.

use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::row::{Row, Run};
use crate::rows::ROWS;

pub const USAGE: &str =
    "usage: faults [ROW...] [--seeds N (100)] [--seed S] [--binary PROCESSION] [--markdown] [--list]";
/// Runs one row in this process.
pub const HERE: &str = "--here";
/// Is one of the programs that rows kill.
pub const PROGRAM: &str = "--program";

pub struct Arguments {
    pub mode: Mode,
    pub run: Run,
    /// For the processes of rows.
    pub passed_on: Vec<String>,
}

pub enum Mode {
    Table { rows: Vec<&'static Row>, is_markdown: bool },
    OneRow(&'static Row),
    Program { name: String, folder: PathBuf, seed: u64 },
    List,
}

impl Arguments {
    pub fn parse(arguments: impl Iterator<Item = String>) -> anyhow::Result<Arguments> {
        let (mut seeds, mut seed, mut binary) = (100, None, None);
        let (mut names, mut passed_on) = (Vec::new(), Vec::new());
        let (mut is_markdown, mut is_list, mut is_here) = (false, false, false);
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("`{argument}` needs a value"));
            match argument.as_str() {
                "--seeds" | "--seed" | "--binary" => {
                    let value = value()?;
                    let number = || value.parse::<u64>().with_context(|| format!("`{argument} {value}` is no number"));
                    match argument.as_str() {
                        "--seeds" => seeds = number()?.max(1),
                        "--seed" => seed = Some(number()?),
                        _ => binary = Some(PathBuf::from(&value)),
                    }
                    passed_on.extend([argument, value]);
                }
                "--markdown" => is_markdown = true,
                "--list" => is_list = true,
                HERE => is_here = true,
                PROGRAM => {
                    let (name, folder) = (value()?, PathBuf::from(value()?));
                    let seed = value()?.parse().context("a seed is a number")?;
                    let mode = Mode::Program { name, folder, seed };
                    return Ok(Arguments { mode, run: Run::new(1, None, PathBuf::new()), passed_on });
                }
                name if name.starts_with('-') => bail!("there is no `{name}`"),
                name => names.push(find(name)?),
            }
        }
        let binary = match binary {
            Some(binary) => binary,
            None => std::env::current_exe()?.with_file_name("procession"),
        };
        let mode = match names.as_slice() {
            _ if is_list => Mode::List,
            [row] if is_here => Mode::OneRow(row),
            [] => Mode::Table { rows: ROWS.iter().collect(), is_markdown },
            rows => Mode::Table { rows: rows.to_vec(), is_markdown },
        };
        Ok(Arguments { mode, run: Run::new(seeds, seed, binary), passed_on })
    }
}

fn find(name: &str) -> anyhow::Result<&'static Row> {
    let all = || ROWS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
    ROWS.iter().find(|row| row.name == name).with_context(|| format!("there is no row `{name}`: there are {}", all()))
}
