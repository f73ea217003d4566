//! Names of fields, where fields do not lie in each other.

use crate::data::FieldPath;

/// The name that a path has where names are flat: `host.name` is the field of that name.
pub fn flat(path: &FieldPath) -> String {
    path.parts().join(".")
}

/// Fields that are wanted of a format with columns of its own, and the slot of each.
pub fn wanted<C: Copy>(known: &[(&str, C)], paths: &[FieldPath]) -> Vec<(C, usize)> {
    let column = |path: &FieldPath| known.iter().find(|(name, _)| **name == *flat(path)).map(|(_, column)| *column);
    paths.iter().enumerate().filter_map(|(slot, path)| Some((column(path)?, slot))).collect()
}

/// Refuses a field that lines of a format never have.
///
/// # Errors
/// Which field, and which there are.
pub fn check(lines: &str, path: &FieldPath, is_known: bool, known: &[&str]) -> Result<(), String> {
    match (is_known, known) {
        (true, _) => Ok(()),
        (false, []) => Err(format!("{lines} have no field `{path}`; they have none")),
        (false, _) => Err(format!("{lines} have no field `{path}`; they have {}", known.join(", "))),
    }
}

/// Names that are wanted, each with the slot of its value.
#[derive(Debug)]
pub struct Names(Vec<(String, usize)>);

impl Names {
    /// Those of `paths`, each with its number as the slot.
    pub fn new(paths: &[FieldPath]) -> Names {
        Names(paths.iter().enumerate().map(|(slot, path)| (flat(path), slot)).collect())
    }

    /// The slots of a name: two paths can be the same one.
    #[inline]
    pub fn slots(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        self.0.iter().filter(move |(wanted, _)| wanted.as_bytes() == name).map(|(_, slot)| *slot)
    }
}
