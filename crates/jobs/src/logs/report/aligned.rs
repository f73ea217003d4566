//! Tables for people.

use std::io::{self, Write};

/// Characters of a cell that are shown.
const MAX_CELL_CHARS: usize = 60;

/// Writes rows of equally many cells: the first `left` columns to the left, the others to the right.
///
/// # Errors
/// Those of `out`.
pub fn write_aligned(out: &mut dyn Write, left: usize, rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        for (number, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if number == 0 { "" } else { "  " };
            match number < left {
                true if number + 1 == row.len() => write!(out, "{gap}{cell}")?,
                true => write!(out, "{gap}{cell:<width$}")?,
                false => write!(out, "{gap}{cell:>width$}")?,
            }
        }
        writeln!(out)?;
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
