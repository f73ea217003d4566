//! Memory that processes share: [`SharedSlice`] to read, [`SharedBuffer`] to fill it, in parts if need be, [`Value`] and
//! [`Array`] to change from all sides, and [`SharedMemory`] with a name.

mod array;
mod buffer;
mod cells;
mod integer;
mod memory;
mod parts;
mod slice;
mod value;

pub use array::{Array, ArrayGuard};
pub use buffer::SharedBuffer;
pub use integer::Integer;
pub use memory::SharedMemory;
pub use parts::{PartGuard, SharedPart, SharedParts};
pub use slice::SharedSlice;
pub use value::{Value, ValueGuard};

#[cfg(all(test, not(loom)))]
pub(crate) mod tests {
    use std::os::fd::AsFd;

    use serde::{Deserialize, Serialize};

    use crate::handle::{Sending, with_received};

    /// The handle as another process would get it.
    pub fn sent<A: Serialize, B: for<'de> Deserialize<'de>>(handle: &A) -> Result<B, postcard::Error> {
        let sending = Sending::begin();
        let bytes = postcard::to_stdvec(handle).unwrap();
        let fds = sending.take().iter().map(|handle| handle.as_fd().try_clone_to_owned().unwrap()).collect();
        with_received(fds, || postcard::from_bytes(&bytes))
    }

    /// Whether the receiver of `handle` refuses to take it for a `B`.
    pub fn is_sent_refused<A: Serialize, B: for<'de> Deserialize<'de>>(handle: &A) -> bool {
        sent::<A, B>(handle).is_err()
    }
}
