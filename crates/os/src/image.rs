//! Functions as data: an address within the program's own image, valid in every process that runs the same image.
//!
//! A function travels as two offsets from where the image is loaded: one of a *descriptor*, a constant that holds a
//! magic number and the typed entry ([`Shim`]), one of the function itself. The receiving process checks that the
//! descriptor lies in a readable part of the image and carries the magic number, and that the function lies in an
//! executable part. [`ImageId`]s must have been compared first. This catches mistakes; it is no defence against a peer
//! that crafts offsets, so only the process that started a worker may send it any.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// A function pointer of a known shape.
pub trait Target: Copy + sealed::Address {}

/// `fn(A) -> R`.
pub struct Plain<A, R>(pub fn(A) -> R);

/// `fn(&C, A) -> R`.
pub struct WithContext<C, A, R>(pub fn(&C, A) -> R);

mod sealed {
    /// Sealed: implemented for wrappers of function pointers only, which is what makes the transmutes below sound.
    pub trait Address {
        fn address(self) -> usize;
        /// # Safety
        /// `address` is what [`Address::address`] gave for a value of this very type, in the same image.
        unsafe fn from_address(address: usize) -> Self;
    }
}

impl<A, R> Clone for Plain<A, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A, R> Copy for Plain<A, R> {}
impl<A, R> Target for Plain<A, R> {}
impl<A, R> sealed::Address for Plain<A, R> {
    fn address(self) -> usize {
        self.0 as usize
    }
    unsafe fn from_address(address: usize) -> Self {
        // SAFETY: by the contract of this function it is the address of a `fn(A) -> R`.
        Plain(unsafe { std::mem::transmute::<usize, fn(A) -> R>(address) })
    }
}

impl<C, A, R> Clone for WithContext<C, A, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<C, A, R> Copy for WithContext<C, A, R> {}
impl<C, A, R> Target for WithContext<C, A, R> {}
impl<C, A, R> sealed::Address for WithContext<C, A, R> {
    fn address(self) -> usize {
        self.0 as usize
    }
    unsafe fn from_address(address: usize) -> Self {
        // SAFETY: by the contract of this function it is the address of a `fn(&C, A) -> R`.
        WithContext(unsafe { std::mem::transmute::<usize, fn(&C, A) -> R>(address) })
    }
}

/// The typed entry of a call: knows the types of the function, and how its argument and result travel.
pub trait Shim<T: Target> {
    /// What the worker hands to every call.
    type Context: 'static;
    /// Runs `target` with what `context` holds.
    fn run(target: T, context: &mut Self::Context);
}

const MAGIC: u64 = 0x7072_6f63_6573_7369;

#[repr(C)]
struct Descriptor<C> {
    magic: u64,
    enter: unsafe fn(usize, &mut C),
}

/// # Safety
/// `target` is the address of a `T` in this image.
unsafe fn enter<S: Shim<T>, T: Target>(target: usize, context: &mut S::Context) {
    // SAFETY: the same contract as this function's.
    S::run(unsafe { T::from_address(target) }, context);
}

struct DescriptorOf<S, T>(PhantomData<(S, T)>);

impl<S: Shim<T>, T: Target> DescriptorOf<S, T> {
    const DESCRIPTOR: &'static Descriptor<S::Context> = &Descriptor { magic: MAGIC, enter: enter::<S, T> };
}

/// A call that can be sent to another process of the same image. `C` is the context that its entry takes.
pub struct Call<C> {
    descriptor: u64,
    target: u64,
    context: PhantomData<fn(C)>,
}

impl<C> Clone for Call<C> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<C> Copy for Call<C> {}

impl<C> fmt::Debug for Call<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({:#x}, {:#x})", self.descriptor, self.target)
    }
}

/// The function is not part of the program's own image (it comes from a shared library that was loaded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutsideImage;

/// Received offsets that no [`Call`] of this image has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadCall;

impl<C: 'static> Call<C> {
    /// A call of `target` through the entry `S`.
    ///
    /// # Errors
    /// [`OutsideImage`] for a function of a shared library: another process may have it elsewhere, or not at all.
    pub fn new<S: Shim<T, Context = C>, T: Target>(target: T) -> Result<Call<C>, OutsideImage> {
        let image = Image::get();
        let descriptor = std::ptr::from_ref(DescriptorOf::<S, T>::DESCRIPTOR) as usize;
        if !image.contains(descriptor, size_of::<Descriptor<C>>(), libc::PF_R)
            || !image.contains(target.address(), 1, libc::PF_X)
        {
            return Err(OutsideImage);
        }
        Ok(Call { descriptor: image.offset(descriptor), target: image.offset(target.address()), context: PhantomData })
    }

    /// The two numbers that travel.
    pub fn to_raw(self) -> (u64, u64) {
        (self.descriptor, self.target)
    }

    /// Takes the numbers that the process which started this one has sent, after both have compared [`ImageId`]s.
    ///
    /// # Errors
    /// [`BadCall`] when they denote no call of this image.
    pub fn from_raw((descriptor, target): (u64, u64)) -> Result<Call<C>, BadCall> {
        let image = Image::get();
        let at = image.address(descriptor);
        if !at.is_multiple_of(align_of::<Descriptor<C>>())
            || !image.contains(at, size_of::<Descriptor<C>>(), libc::PF_R)
        {
            return Err(BadCall);
        }
        // SAFETY: eight readable, aligned bytes of the image (checked above); any bits are a u64.
        if unsafe { (at as *const u64).read() } != MAGIC || !image.contains(image.address(target), 1, libc::PF_X) {
            return Err(BadCall);
        }
        Ok(Call { descriptor, target, context: PhantomData })
    }

    /// Runs the call.
    pub fn run(self, context: &mut C) {
        let image = Image::get();
        let descriptor = image.address(self.descriptor) as *const Descriptor<C>;
        // SAFETY: the numbers come from `new` in this image, directly or through `from_raw`, whose contract is that the
        // starter of this process sent them and runs the same image. The magic number says that a descriptor is there;
        // that its context is `C` follows from there being one kind of context per role of a process.
        unsafe { ((*descriptor).enter)(image.address(self.target), context) }
    }
}

/// Tells whether two processes run the same image: the linker's build id, or else the identity of the executable file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageId(pub [u8; 32]);

impl ImageId {
    /// That of this process.
    pub fn current() -> ImageId {
        Image::get().id
    }
}

/// Where the main program is loaded, from dl_iterate_phdr(3).
struct Image {
    base: usize,
    /// Start and length of each loaded part, and its PF_R, PF_W, PF_X.
    parts: Vec<(usize, usize, u32)>,
    id: ImageId,
}

impl Image {
    fn get() -> &'static Image {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(|| {
            let mut image = Image { base: 0, parts: Vec::new(), id: ImageId([0; 32]) };
            // SAFETY: `first_object` gets the pointer that is passed here, during this call only.
            unsafe { libc::dl_iterate_phdr(Some(first_object), std::ptr::from_mut(&mut image).cast()) };
            if image.id == ImageId([0; 32]) {
                image.id = executable_file_id();
            }
            image
        })
    }

    fn contains(&self, address: usize, len: usize, flag: u32) -> bool {
        self.parts.iter().any(|&(start, size, flags)| {
            flags & flag != 0 && address.checked_sub(start).is_some_and(|at| at < size && size - at >= len)
        })
    }

    fn offset(&self, address: usize) -> u64 {
        address.wrapping_sub(self.base) as u64
    }

    fn address(&self, offset: u64) -> usize {
        self.base.wrapping_add(offset as usize)
    }
}

/// The first object that dl_iterate_phdr visits is the main program; the loop ends there.
unsafe extern "C" fn first_object(info: *mut libc::dl_phdr_info, _size: usize, image: *mut c_void) -> c_int {
    // SAFETY: the C library passes a valid `info`, and hands through the `image` that was given to it.
    let (info, image) = unsafe { (&*info, &mut *image.cast::<Image>()) };
    image.base = info.dlpi_addr as usize;
    // SAFETY: dlpi_phdr points to dlpi_phnum program headers.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers.iter().filter(|h| h.p_type == libc::PT_LOAD) {
        image.parts.push((image.base.wrapping_add(header.p_vaddr as usize), header.p_memsz as usize, header.p_flags));
    }
    for header in headers.iter().filter(|h| h.p_type == libc::PT_NOTE) {
        let at = image.base.wrapping_add(header.p_vaddr as usize);
        if image.contains(at, header.p_memsz as usize, libc::PF_R) {
            // SAFETY: the note lies within a readable part of the image, which is never unmapped.
            let notes = unsafe { std::slice::from_raw_parts(at as *const u8, header.p_memsz as usize) };
            if let Some(id) = build_id(notes) {
                let mut bytes = [0; 32];
                let len = id.len().min(31);
                bytes[0] = len as u8;
                bytes[1..=len].copy_from_slice(&id[..len]);
                image.id = ImageId(bytes);
            }
        }
    }
    1
}

/// Finds the NT_GNU_BUILD_ID note (elf(5)): sizes of name and description, the type, then both, padded to four bytes.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
    loop {
        let (name, desc, kind) = (word(notes, 0)? as usize, word(notes, 4)? as usize, word(notes, 8)?);
        let desc_at = 12 + name.next_multiple_of(4);
        let found = notes.get(desc_at..desc_at.checked_add(desc)?)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") && !found.is_empty() {
            return Some(found);
        }
        notes = notes.get(desc_at + desc.next_multiple_of(4)..)?;
    }
}

/// For images without a build id. A worker is exec'ed from /proc/self/exe, so it has the very same file.
fn executable_file_id() -> ImageId {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = [0xff; 32];
    if let Ok(file) = std::fs::metadata("/proc/self/exe") {
        let words =
            [file.dev(), file.ino(), file.size(), file.mtime_nsec() as u64 ^ (file.mtime() as u64).rotate_left(32)];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_ne_bytes());
        }
    }
    ImageId(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Double;
    impl Shim<Plain<u64, u64>> for Double {
        type Context = u64;
        fn run(target: Plain<u64, u64>, context: &mut u64) {
            *context = 2 * (target.0)(*context);
        }
    }

    fn add_one(n: u64) -> u64 {
        n + 1
    }

    fn call_of(f: fn(u64) -> u64) -> Result<Call<u64>, OutsideImage> {
        Call::new::<Double, _>(Plain(f))
    }

    #[test]
    fn a_call_survives_its_numbers() {
        for (f, want) in [(add_one as fn(u64) -> u64, 42), (|n| n * n, 800)] {
            let mut context = 20;
            Call::<u64>::from_raw(call_of(f).unwrap().to_raw()).unwrap().run(&mut context);
            assert_eq!(context, want);
        }
    }

    #[test]
    fn numbers_that_denote_nothing_are_refused() {
        let (descriptor, target) = call_of(add_one).unwrap().to_raw();
        for raw in [
            (descriptor + 8, target),
            (descriptor + 1, target),
            (descriptor, u64::MAX),
            (descriptor, descriptor),
            (target, target),
            (0, target),
            (u64::MAX - 7, target),
            (1 << 40, target),
        ] {
            assert_eq!(Call::<u64>::from_raw(raw).unwrap_err(), BadCall, "{raw:x?}");
        }
    }

    #[test]
    fn functions_of_a_shared_library_are_refused() {
        // SAFETY: only the address is used; the function is never called through this type.
        let foreign = unsafe { std::mem::transmute::<*const (), fn(u64) -> u64>(libc::getpid as *const ()) };
        let here = Image::get().contains(libc::getpid as *const () as usize, 1, libc::PF_X);
        // A static executable contains its C library.
        assert_eq!(call_of(foreign).is_ok(), here);
    }

    #[test]
    fn ids_are_stable_and_say_something() {
        assert_eq!(ImageId::current(), ImageId::current());
        assert_ne!(ImageId::current(), ImageId([0; 32]));
        assert_eq!(executable_file_id(), executable_file_id());
    }

    #[test]
    fn torn_notes_are_no_build_id() {
        let note = [4u32, 4, 3].map(u32::to_ne_bytes).concat();
        let whole = [&note[..], b"GNU\0", b"abcd"].concat();
        assert_eq!(build_id(&whole), Some(&b"abcd"[..]));
        for len in 0..whole.len() {
            assert_eq!(build_id(&whole[..len]), None);
        }
        let huge = [[u32::MAX; 3].map(u32::to_ne_bytes).concat(), b"GNU\0".to_vec()].concat();
        assert_eq!(build_id(&huge), None);
    }
}
