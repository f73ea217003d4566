//! Tables for people.

use std::io::{self, Write};

/// Characters of a cell that are shown.
const MAX_CELL_CHARS: usize = 60;

/// Writes rows of equally many cells: the columns for which `is_left` is true to the left, the others to the right.
///
/// # Errors
/// Those of `out`.
pub fn write_aligned(out: &mut dyn Write, is_left: &dyn Fn(usize) -> bool, rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (number, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let gap = if number == 0 { "" } else { "  " };
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, behind) = if is_left(number) { ("", &*padding) } else { (&*padding, "") };
            line.extend([gap, before, cell, behind]);
        }
        writeln!(out, "{}", line.trim_end_matches(' '))?;
    }
    Ok(())
}

/// The text, or its first characters and an ellipsis.
pub fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_string(),
        Some(_) => text.chars().take(max_chars - 1).chain(['\u{2026}']).collect(),
    }
}

/// The text as a cell.
pub fn cell(text: &str) -> String {
    shortened(&crate::printable(text), MAX_CELL_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened(&"x".repeat(40), 40).chars().count(), 40);
        assert_eq!(shortened(&"x".repeat(41), 40).chars().count(), 40);
    }
}
