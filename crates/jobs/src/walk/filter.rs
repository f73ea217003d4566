//! Which files and folders inside the named folders are wanted.

use std::ffi::OsStr;
use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::PlanError;

/// The flags that choose among the files inside folders.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WalkArgs {
    /// Inside folders, read only files that match GLOB (repeatable). A GLOB without `/` is compared with the file's
    /// name, one with `/` with its path below the named folder.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Inside folders, leave out files and whole folders that match GLOB (repeatable). `GLOB/` is for folders only.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
}

/// Which files and folders inside the named folders are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Option<Globs>,
    exclude: Globs,
    exclude_folders: Globs,
}

impl Filter {
    /// The filter that the flags ask for.
    ///
    /// # Errors
    /// When a glob is malformed.
    pub fn new(args: &WalkArgs) -> Result<Filter, PlanError> {
        let (folders, others): (Vec<&str>, Vec<&str>) =
            args.exclude.iter().map(String::as_str).partition(|glob| glob.len() > 1 && glob.ends_with('/'));
        let folders: Vec<&str> = folders.into_iter().map(|glob| glob.trim_end_matches('/')).collect();
        let include: Vec<&str> = args.include.iter().map(String::as_str).collect();
        Ok(Filter {
            include: if include.is_empty() { None } else { Some(Globs::new("--include", &include)?) },
            exclude: Globs::new("--exclude", &others)?,
            exclude_folders: Globs::new("--exclude", &folders)?,
        })
    }

    pub(crate) fn takes_file(&self, folder: &Path, name: &OsStr) -> bool {
        self.include.as_ref().is_none_or(|globs| globs.matches(folder, name)) && !self.exclude.matches(folder, name)
    }

    pub(crate) fn takes_folder(&self, folder: &Path, name: &OsStr) -> bool {
        !self.exclude.matches(folder, name) && !self.exclude_folders.matches(folder, name)
    }
}

/// Globs for names, and globs for paths below the named folder.
#[derive(Debug, Clone, Default)]
struct Globs {
    names: GlobSet,
    paths: GlobSet,
}

impl Globs {
    fn new(flag: &str, globs: &[&str]) -> Result<Globs, PlanError> {
        let wrong = |glob: &str, cause: &globset::Error| {
            PlanError::new(format_args!("failed to read `{flag} {glob}`: {}", cause.kind()))
        };
        let mut names = GlobSetBuilder::new();
        let mut paths = GlobSetBuilder::new();
        for glob in globs {
            let set = if glob.contains('/') { &mut paths } else { &mut names };
            // `./x` and `/x` both mean `x` right below the named folder.
            let bare = glob.strip_prefix("./").unwrap_or(glob).trim_start_matches('/');
            set.add(GlobBuilder::new(bare).literal_separator(true).build().map_err(|cause| wrong(glob, &cause))?);
        }
        let whole = globs.join(" ");
        Ok(Globs {
            names: names.build().map_err(|cause| wrong(&whole, &cause))?,
            paths: paths.build().map_err(|cause| wrong(&whole, &cause))?,
        })
    }

    fn matches(&self, folder: &Path, name: &OsStr) -> bool {
        (!self.names.is_empty() && self.names.is_match_candidate(&Candidate::new(name)))
            || (!self.paths.is_empty() && self.paths.is_match(folder.join(name)))
    }
}
