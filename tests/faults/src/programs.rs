//! What this program is when a row starts it in order to kill it.

use std::path::Path;

use anyhow::bail;

use crate::rows::{leak, orphans};

pub fn run(name: &str, folder: &Path, seed: u64) -> anyhow::Result<bool> {
    match name {
        "orphans" => orphans::program(folder, seed)?,
        "litter" => leak::program(folder, seed)?,
        _ => bail!("there is no program `{name}`"),
    }
    Ok(true)
}
