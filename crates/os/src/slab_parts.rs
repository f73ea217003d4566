//! Parts of a slab that are changed by several processes at once, each by one.

use std::io;
use std::ops::{Deref, DerefMut, Range};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::mapping::Mapping;
use crate::slab::{AT_CLAIMS, Shape, map_parts};
use crate::{Identity, futex_wait, futex_wake};

/// The part of a claim word that is the claimant's process id; 0 if there is none.
const PID: u64 = (1 << 30) - 1;
/// A claimant died, or said that it left the part half changed.
const POISONED: u64 = 1 << 30;
/// The claimant: its process id, and from bit 32 on its birth.
const CLAIMANT: u64 = !(POISONED | 1 << 31);

/// How long a sleeper leaves it until it looks whether the claimant is alive: at first, and at most.
const FIRST_TICK: Duration = Duration::from_millis(5);
const LAST_TICK: Duration = Duration::from_millis(100);

/// A divided slab, mapped to be written: a part's bytes can be reached by who claims it, and by nobody else.
///
/// Each part has a word in shared memory that says which process has claimed it. It is taken by one atomic step, and from
/// a process that is dead for certain by another from exactly that claim. So of each part there is one [`Claim`] at a
/// time, in all processes together. It holds on one machine and within one PID namespace.
#[derive(Debug)]
pub struct SlabParts {
    mapping: Mapping,
    shape: Shape,
}

impl SlabParts {
    /// Maps the slab behind `fd`, a descriptor of [`SlabDraft::divide`](crate::SlabDraft::divide).
    ///
    /// # Errors
    /// When it is something else, or sealed by now.
    pub fn map(fd: impl AsFd) -> io::Result<SlabParts> {
        let (mapping, shape) = map_parts(fd)?;
        Ok(SlabParts { mapping, shape })
    }

    /// Into how many parts it is divided.
    pub fn parts(&self) -> usize {
        self.shape.parts
    }

    /// Size of an item.
    pub fn item_bytes(&self) -> usize {
        self.shape.item_bytes
    }

    /// Which items belong to `part`.
    ///
    /// # Panics
    /// When there is no such part.
    pub fn items(&self, part: usize) -> Range<usize> {
        assert!(part < self.shape.parts, "no such part");
        self.shape.part(part)
    }

    /// Claims a part; waits while another process or thread has it. None when that lasts beyond `deadline`.
    ///
    /// # Panics
    /// When there is no such part.
    pub fn claim(&self, part: usize, deadline: Option<Instant>) -> Option<Claim<'_>> {
        assert!(part < self.shape.parts, "no such part");
        let (word, own) = (self.word(part), pack(Identity::own()));
        let mut tick = FIRST_TICK;
        loop {
            let found = word.load(Ordering::Relaxed);
            let free = found & PID == 0;
            if free || !unpack(found).is_alive() {
                let poison = if free { found & POISONED } else { POISONED };
                if word.compare_exchange(found, own | poison, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    return Some(Claim { parts: self, part });
                }
                continue;
            }
            let rest = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if rest == Some(Duration::ZERO) {
                return None;
            }
            futex_wait(self.low_half(part), found as u32, Some(rest.map_or(tick, |rest| rest.min(tick))));
            tick = LAST_TICK.min(tick * 2);
        }
    }

    /// Whether the part's next claimant is told that an earlier one died, or left it half changed.
    ///
    /// # Panics
    /// When there is no such part.
    pub fn is_poisoned(&self, part: usize) -> bool {
        assert!(part < self.shape.parts, "no such part");
        self.word(part).load(Ordering::Relaxed) & POISONED != 0
    }

    #[inline]
    fn word(&self, part: usize) -> &AtomicU64 {
        // SAFETY: callers have checked that there is such a part, of which there are at most MAX_SLAB_PARTS, so the word
        // lies between AT_CLAIMS and the items, aligned, and within the mapping; all access to it is atomic.
        unsafe { AtomicU64::from_ptr(self.mapping.base().as_ptr().add(AT_CLAIMS + 8 * part).cast()) }
    }

    /// The half of the word with the process id: what is slept on.
    fn low_half(&self, part: usize) -> &AtomicU32 {
        let half = if cfg!(target_endian = "little") { 0 } else { 4 };
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(self.mapping.base().as_ptr().add(AT_CLAIMS + 8 * part + half).cast()) }
    }
}

fn pack(identity: Identity) -> u64 {
    u64::from(identity.pid) & PID | u64::from(identity.birth) << 32
}

fn unpack(word: u64) -> Identity {
    Identity { pid: (word & PID) as u32, birth: (word >> 32) as u32 }
}

/// A part that this thread has for itself, until it is dropped; its bytes are those of the items. When it is forgotten
/// the part stays claimed until the process ends.
#[derive(Debug)]
pub struct Claim<'a> {
    parts: &'a SlabParts,
    part: usize,
}

impl Claim<'_> {
    /// Whether an earlier claimant died, or left the part half changed, and [`Claim::clear_poison`] was not called
    /// since.
    pub fn is_poisoned(&self) -> bool {
        self.parts.is_poisoned(self.part)
    }

    /// Says that the part is half changed.
    pub fn poison(&self) {
        self.parts.word(self.part).fetch_or(POISONED, Ordering::Relaxed);
    }

    /// Says that the part is whole again.
    pub fn clear_poison(&self) {
        self.parts.word(self.part).fetch_and(!POISONED, Ordering::Relaxed);
    }
}

impl Deref for Claim<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        let Range { start, end } = self.parts.shape.part_bytes(self.part);
        // SAFETY: as in `deref_mut`; `self` is borrowed shared.
        unsafe { std::slice::from_raw_parts(self.parts.mapping.base().as_ptr().add(start), end - start) }
    }
}

impl DerefMut for Claim<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let Range { start, end } = self.parts.shape.part_bytes(self.part);
        // SAFETY: the range lies within the mapping (`Shape::parse` has checked that for all items), which is readable
        // and writable, does not shrink, and lives longer than the claim. No other reference to these bytes exists:
        // - To another part: parts are disjoint by `Shape::part`, and all mappings agree on the shape. It is written
        //   once, before `divide` gives the descriptor out, and no code of this crate writes it later.
        // - To the same part: only a `Claim` makes one, and its word lets one exist in all processes. In this process
        //   `self` is borrowed for as long as the bytes are. A word is taken only from a process that cannot run any
        //   more (`Identity::is_alive`), nor therefore use its references; a process that is forked has no mapping.
        // - By a `SlabDraft`: that ended when the slab was divided.
        // - By a `SlabView`: the kernel has taken no write seal while this mapping exists.
        // - By who else has the descriptor: the crate above gives it to processes of this program alone, and uses it
        //   for these types only, as `divide` asks it to.
        unsafe { std::slice::from_raw_parts_mut(self.parts.mapping.base().as_ptr().add(start), end - start) }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let word = self.parts.word(self.part);
        let mut found = word.load(Ordering::Relaxed);
        // Anything else means that someone has written there who should not: then it is not ours to give back.
        while found & CLAIMANT == pack(Identity::own()) {
            match word.compare_exchange(found, found & POISONED, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => {
                    futex_wake(self.parts.low_half(self.part), 1);
                    return;
                }
                Err(now) => found = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Segment, SlabDraft, SlabView};
    use std::os::fd::OwnedFd;

    fn divided(count: usize, parts: usize) -> (SlabParts, OwnedFd) {
        let mut draft = SlabDraft::create("test", 4, count).unwrap();
        draft.fill(1);
        let fd = draft.divide(parts).unwrap();
        (SlabParts::map(&fd).unwrap(), fd)
    }

    #[test]
    fn parts_are_changed_side_by_side_and_then_read() {
        let (ours, fd) = divided(10, 3);
        let theirs = SlabParts::map(&fd).unwrap();
        assert_eq!((theirs.parts(), theirs.item_bytes(), theirs.items(1)), (3, 4, 4..7));
        let (mut a, mut b) = (ours.claim(0, None).unwrap(), theirs.claim(1, None).unwrap());
        assert!(a.len() == 16 && b.len() == 12 && a.iter().chain(b.iter()).all(|&byte| byte == 1));
        a.fill(2);
        b.fill(3);
        assert_eq!(SlabView::seal(&fd).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop((a, b));
        drop((ours, theirs));
        let view = SlabView::seal(&fd).unwrap();
        assert_eq!((&view[..16], &view[16..28], &view[28..]), (&[2; 16][..], &[3; 12][..], &[1; 12][..]));
        assert!(SlabParts::map(&fd).is_err());
    }

    #[test]
    fn a_part_has_one_claim_at_a_time() {
        let (ours, fd) = divided(100, 2);
        let theirs = SlabParts::map(&fd).unwrap();
        let claim = ours.claim(0, None).unwrap();
        let now = Some(Instant::now());
        assert!(ours.claim(0, now).is_none() && theirs.claim(0, now).is_none() && theirs.claim(1, now).is_some());
        drop(claim);
        std::thread::scope(|scope| {
            for parts in [&ours, &theirs, &ours, &theirs] {
                scope.spawn(move || {
                    for _ in 0..2000 {
                        let mut claim = parts.claim(0, None).unwrap();
                        let sum = u32::from_ne_bytes(claim[..4].try_into().unwrap());
                        claim[..4].copy_from_slice(&(sum + 1).to_ne_bytes());
                    }
                });
            }
        });
        let claim = ours.claim(0, None).unwrap();
        assert_eq!(claim[..4], (0x0101_0101u32 + 8000).to_ne_bytes());
        std::mem::forget(claim);
        assert!(theirs.claim(0, now).is_none(), "this process lives");
    }

    #[test]
    fn a_dead_process_loses_its_claim() {
        let (parts, fd) = divided(100, 2);
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        // What it would have left there; nobody has a claim now.
        crate::shm::write_shm(&fd, AT_CLAIMS as u64 + 8, &u64::from(child.id()).to_ne_bytes()).unwrap();
        assert!(parts.claim(1, Some(Instant::now())).is_none());
        child.kill().unwrap();
        let claim = parts.claim(1, None).unwrap();
        assert!(claim.is_poisoned() && !parts.is_poisoned(0));
        drop(claim);
        child.wait().unwrap();
        let claim = parts.claim(1, None).unwrap();
        assert!(claim.is_poisoned(), "until it is repaired");
        claim.clear_poison();
        drop(claim);
        let claim = parts.claim(1, None).unwrap();
        assert!(!claim.is_poisoned());
        claim.poison();
        drop(claim);
        assert!(parts.is_poisoned(1));
    }

    #[test]
    fn other_memory_has_no_parts() {
        let (_segment, fd) = Segment::create("test", 100_000).unwrap();
        assert!(SlabParts::map(fd).is_err());
        let (_view, fd) = SlabView::copy_of("test", 1, b"sealed").unwrap();
        assert!(SlabParts::map(fd).is_err());
        let draft = || SlabDraft::create("test", 1, 10).unwrap();
        assert!(draft().divide(0).is_err() && draft().divide(crate::MAX_SLAB_PARTS + 1).is_err());
        let fd = draft().divide(crate::MAX_SLAB_PARTS).unwrap();
        let parts = SlabParts::map(fd).unwrap();
        assert!(parts.claim(crate::MAX_SLAB_PARTS - 1, None).unwrap().is_empty());
        assert_eq!(&parts.claim(9, None).unwrap()[..], [0]);
    }

    #[test]
    #[should_panic(expected = "no such part")]
    fn there_are_no_others() {
        divided(10, 2).0.claim(2, None);
    }
}
