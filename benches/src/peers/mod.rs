//! What the pool is compared with.

pub mod futex;
pub mod python;
pub mod robust;
pub mod socket;
