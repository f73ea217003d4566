//! Lines that are JSON objects.

use super::Reason;
use crate::data::json::{Fault, Scan, Shape, Wanted};
use crate::data::{FieldPath, Raw};

/// Reads lines of one object each.
#[derive(Debug)]
pub struct JsonLines(Wanted);

impl JsonLines {
    /// Takes the fields at `paths`, each to the slot of its number.
    ///
    /// # Errors
    /// When a path is deeper than objects may be.
    pub fn new(paths: &[FieldPath]) -> Result<JsonLines, String> {
        let wanted = Wanted::new(paths).map_err(|path| {
            let depth = path.parts().len();
            format!("a field {depth} names deep is deeper than JSON is read")
        })?;
        Ok(JsonLines(wanted))
    }

    /// Reads a line into `slots`, which are empty; `shape` is that of the last line.
    #[inline]
    pub fn read<'a>(&self, line: &'a [u8], slots: &mut [Raw<'a>], shape: &mut Shape) -> Result<(), Reason> {
        let mut scan = Scan::new(line);
        scan.space();
        self.0.read(&mut scan, slots, shape, &mut |_| {}).map_err(told)?;
        scan.space();
        match scan.peek() {
            None => Ok(()),
            Some(_) => Err(told(scan.fault("something stands behind the object"))),
        }
    }
}

#[cold]
fn told(fault: Fault) -> Reason {
    format!("no JSON object: {} (byte {})", fault.reason, fault.at + 1).into()
}
