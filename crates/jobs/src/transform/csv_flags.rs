//! The flags of CSV: what they make of the inputs, and where they help or are a slip.

use std::path::Path;

use crate::PlanError;

use super::args::TransformArgs;
use super::layout::Form;
use super::sample::Sample;

/// Gives the columns of CSV the names that the user wants.
///
/// # Errors
/// When they are not as many as the columns, or two are alike.
pub fn name_columns(args: &TransformArgs, sample: &mut Sample, path: &Path) -> Result<(), PlanError> {
    let shown = path.display();
    if let Some(names) = &args.header_names {
        if names.len() != sample.names.len() && !sample.names.is_empty() {
            let (given, found) = (names.len(), sample.names.len());
            return Err(PlanError::new(format_args!("`{shown}` has {found} columns, not {given} (--header-names)")));
        }
        sample.names.clone_from(names);
    } else if args.no_header {
        sample.names = (1..=sample.names.len()).map(|n| format!("c{n}")).collect();
    }
    let mut known = std::collections::HashSet::new();
    match sample.names.iter().find(|name| !known.insert(*name)) {
        Some(name) => Err(PlanError::new(format_args!(
            "two columns of `{shown}` are called `{name}` (--header-names gives them others)"
        ))),
        None => Ok(()),
    }
}

/// What to say of one column alone, if its name has what often stands between fields.
pub fn note_of_delimiter(args: &TransformArgs, sample: &Sample, path: &Path) -> Option<String> {
    let [name] = sample.names.as_slice() else { return None };
    let found = [';', '\t', '|', ','].into_iter().find(|mark| args.delimiter.is_none() && name.contains(*mark))?;
    let shown = if found == '\t' { "\\t".to_string() } else { found.to_string() };
    Some(format!("`{}` has one column, `{name}` (--delimiter '{shown}' would make more of it)", path.display()))
}

/// Flags of CSV without CSV are a mistake.
///
/// # Errors
/// Which one is given.
pub fn refuse_needless(args: &TransformArgs, is_from_csv: bool, to: Form) -> Result<(), PlanError> {
    let of_any = [("--delimiter", args.delimiter.is_some()), ("--quote", args.quote.is_some())];
    let of_input = [("--no-header", args.no_header), ("--header-names", args.header_names.is_some())];
    let given = |flags: &[(&'static str, bool)]| flags.iter().find(|(_, is_given)| *is_given).map(|(flag, _)| *flag);
    match (given(&of_any), given(&of_input)) {
        (Some(flag), _) if !is_from_csv && !to.is_csv() => {
            Err(PlanError::new(format_args!("{flag} is for CSV, and neither the inputs nor the output are CSV")))
        }
        (_, Some(flag)) if !is_from_csv => {
            Err(PlanError::new(format_args!("{flag} is for inputs of CSV, and there is none (--from csv)")))
        }
        _ => Ok(()),
    }
}
