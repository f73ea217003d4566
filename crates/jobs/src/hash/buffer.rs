//! The buffer that files are read into: one per thread, as long as the largest file so far needed.

use std::cell::RefCell;

use crate::buffer::Buffer;

/// Longest buffer. Measured with all algorithms: between 64 KiB and 1 MiB it makes no difference.
const MAX_BYTES: usize = 256 << 10;
/// Shortest buffer, so that many small files of growing length do not lengthen it one by one.
const MIN_BYTES: usize = 16 << 10;

thread_local! {
    static BUFFER: RefCell<Option<Buffer>> = const { RefCell::new(None) };
}

/// Lends a buffer for reading about that many bytes.
pub fn with_buffer<R>(bytes: u64, read: impl FnOnce(&mut [u8]) -> R) -> R {
    // One byte more than the file has: the read that fills less than all of it has seen the end.
    let wanted = usize::try_from(bytes.saturating_add(1)).unwrap_or(MAX_BYTES).clamp(MIN_BYTES, MAX_BYTES);
    BUFFER.with(|buffer| {
        // Taken out while it is used: were `read` to come here again, it would get a buffer of its own.
        let kept = buffer.take().filter(|kept| kept.step() >= wanted);
        let mut lent = kept.unwrap_or_else(|| Buffer::new(wanted.next_power_of_two()));
        let result = read(lent.front());
        buffer.replace(Some(lent));
        result
    })
}
