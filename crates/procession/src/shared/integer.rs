//! Integers in shared memory, changed by one atomic step.

use std::sync::atomic::Ordering;

use bytemuck::Pod;
use procession_os::Segment;

/// Integers that can be changed by one atomic step: `u8` to `u64`, `i8` to `i64`, `usize` and `isize`. Nobody else can
/// implement it.
pub trait Integer: Pod + sealed::Steps {}

pub(super) mod sealed {
    use super::Segment;

    /// What is done to the integer at an offset; each returns what was there before.
    pub trait Steps: Sized {
        fn add(segment: &Segment, at: usize, n: Self) -> Self;
        fn sub(segment: &Segment, at: usize, n: Self) -> Self;
        fn and(segment: &Segment, at: usize, bits: Self) -> Self;
        fn or(segment: &Segment, at: usize, bits: Self) -> Self;
        fn xor(segment: &Segment, at: usize, bits: Self) -> Self;
        fn max(segment: &Segment, at: usize, n: Self) -> Self;
        fn min(segment: &Segment, at: usize, n: Self) -> Self;
        fn swap(segment: &Segment, at: usize, n: Self) -> Self;
        fn change(segment: &Segment, at: usize, from: Self, to: Self) -> Result<Self, Self>;
    }
}

macro_rules! integers {
    ($($integer:ty: $word:ident as $bits:ty;)*) => { $(
        impl Integer for $integer {}

        // Adding and the like are the same for signed and unsigned integers, but for the greater of two.
        impl sealed::Steps for $integer {
            #[inline]
            fn add(segment: &Segment, at: usize, n: Self) -> Self {
                segment.$word(at).fetch_add(n as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn sub(segment: &Segment, at: usize, n: Self) -> Self {
                segment.$word(at).fetch_sub(n as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn and(segment: &Segment, at: usize, bits: Self) -> Self {
                segment.$word(at).fetch_and(bits as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn or(segment: &Segment, at: usize, bits: Self) -> Self {
                segment.$word(at).fetch_or(bits as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn xor(segment: &Segment, at: usize, bits: Self) -> Self {
                segment.$word(at).fetch_xor(bits as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn max(segment: &Segment, at: usize, n: Self) -> Self {
                choose(segment, at, |was| Ord::max(was, n), 0)
            }
            #[inline]
            fn min(segment: &Segment, at: usize, n: Self) -> Self {
                choose(segment, at, |was| Ord::min(was, n), 0)
            }
            #[inline]
            fn swap(segment: &Segment, at: usize, n: Self) -> Self {
                segment.$word(at).swap(n as $bits, Ordering::AcqRel) as Self
            }
            #[inline]
            fn change(segment: &Segment, at: usize, from: Self, to: Self) -> Result<Self, Self> {
                segment
                    .$word(at)
                    .compare_exchange(from as $bits, to as $bits, Ordering::AcqRel, Ordering::Acquire)
                    .map(|was| was as Self)
                    .map_err(|was| was as Self)
            }
        }
    )* };
}

integers! {
    u8: u8 as u8;
    i8: u8 as u8;
    u16: u16 as u16;
    i16: u16 as u16;
    u32: u32 as u32;
    i32: u32 as u32;
    u64: u64 as u64;
    i64: u64 as u64;
}

#[cfg(target_pointer_width = "64")]
integers! {
    usize: u64 as u64;
    isize: u64 as u64;
}

/// Changes the integer to what `of` makes of it.
#[inline]
fn choose<T: sealed::Steps + Copy>(segment: &Segment, at: usize, of: impl Fn(T) -> T, zero: T) -> T {
    // Adding nothing is a look at it.
    let mut was = T::add(segment, at, zero);
    loop {
        match T::change(segment, at, was, of(was)) {
            Ok(was) => return was,
            Err(now) => was = now,
        }
    }
}
