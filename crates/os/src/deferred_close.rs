//! Closes descriptors later, many by one call.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

/// So many descriptors are kept at most.
const MAX_KEPT: usize = 32;

/// Takes descriptors over and closes them later: those with consecutive numbers by one call, where each would be a call of
/// its own. What is opened gets the lowest number that is free (open(2)), so the numbers of what is read one after the other
/// are consecutive, in whatever order they come here.
///
/// At most 32 are kept, some until [`flush`](DeferredClose::flush) or the end. They count for the limit of descriptors,
/// and their files keep their room on the disk if they are deleted. What close(2) would say of a file is lost: do not use
/// it for what was written.
///
/// Uses close_range(2), of Linux 5.9; where that is not there, or not allowed, each is closed by itself.
#[derive(Debug, Default)]
pub struct DeferredClose {
    /// Owned, so nobody else opens, uses or closes what has one of these numbers.
    numbers: Vec<RawFd>,
}

impl DeferredClose {
    /// Closes `fd`, now or later.
    pub fn close(&mut self, fd: impl Into<OwnedFd>) {
        self.numbers.push(fd.into().into_raw_fd());
        if self.numbers.len() >= MAX_KEPT {
            self.close_longest_run();
        }
    }

    /// Closes all that is kept.
    pub fn flush(&mut self) {
        self.numbers.sort_unstable();
        self.numbers.chunk_by(are_consecutive).for_each(close_run);
        self.numbers.clear();
    }

    /// What is left lies in gaps between the descriptors of others. As long as those are filled, the next numbers are
    /// consecutive.
    fn close_longest_run(&mut self) {
        self.numbers.sort_unstable();
        let (mut start, mut longest) = (0, 0..0);
        for run in self.numbers.chunk_by(are_consecutive) {
            if run.len() > longest.len() {
                longest = start..start + run.len();
            }
            start += run.len();
        }
        close_run(&self.numbers[longest.clone()]);
        self.numbers.drain(longest);
    }
}

impl Drop for DeferredClose {
    fn drop(&mut self) {
        self.flush();
    }
}

fn are_consecutive(before: &RawFd, after: &RawFd) -> bool {
    after - before == 1
}

/// Closes descriptors with consecutive numbers, all of which the caller owns and forgets.
fn close_run(run: &[RawFd]) {
    if let &[first, .., last] = run {
        let (first, last, flags) = (first as libc::c_long, last as libc::c_long, 0 as libc::c_long);
        // By its number, since not every C library that programs are linked with has a function for it.
        // SAFETY: no memory is involved, and the numbers from the first to the last are those of the run, all owned.
        if unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } == 0 {
            return;
        }
    }
    for &number in run {
        // SAFETY: the number is of an open descriptor that the caller owns, and forgets.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::PipeWriter;
    use std::os::fd::AsRawFd;

    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    /// The end of a pipe whose other end has just this number. Each test has numbers of its own.
    fn pipe(number: RawFd) -> (OwnedFd, PipeWriter) {
        let (reader, writer) = std::io::pipe().unwrap();
        let reader = rustix::io::fcntl_dupfd_cloexec(reader, number).unwrap();
        assert_eq!(reader.as_raw_fd(), number);
        (reader, writer)
    }

    /// Whether this process has the other end open: its number may be another's by now, as other tests open files, too.
    fn is_open(writer: &PipeWriter) -> bool {
        let target = |number: &str| std::fs::read_link(format!("/proc/self/fd/{number}")).ok();
        let wanted = target(&writer.as_raw_fd().to_string());
        let numbers = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let found = numbers.filter(|entry| target(&entry.file_name().to_string_lossy()) == wanted).count();
        assert!(wanted.is_some() && matches!(found, 1 | 2));
        found == 2
    }

    /// Pipes whose ends with these numbers are handed over in this order.
    fn hand_over(closing: &mut DeferredClose, numbers: impl IntoIterator<Item = RawFd>) -> Vec<PipeWriter> {
        let pipes: Vec<_> = numbers.into_iter().map(pipe).collect();
        let close = |(reader, writer): (OwnedFd, PipeWriter)| {
            closing.close(reader);
            writer
        };
        pipes.into_iter().map(close).collect()
    }

    /// Closes all in a thread for which there is no such system call.
    fn flush_without(call: libc::c_long, closing: &mut DeferredClose) {
        let filter: BpfProgram = SeccompFilter::new(
            [(call, vec![])].into(),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS as u32),
            std::env::consts::ARCH.try_into().unwrap(),
        )
        .unwrap()
        .try_into()
        .unwrap();
        let flush = || {
            seccompiler::apply_filter(&filter).unwrap();
            closing.flush();
        };
        std::thread::scope(|scope| scope.spawn(flush).join().unwrap());
    }

    #[test]
    fn a_run_is_closed_by_one_call_whatever_its_order() {
        let mut closing = DeferredClose::default();
        let pipes = hand_over(&mut closing, [602, 600, 603, 601]);
        assert!(pipes.iter().all(is_open));
        flush_without(libc::SYS_close, &mut closing);
        assert!(!pipes.iter().any(is_open));
    }

    #[test]
    fn without_the_call_each_is_closed() {
        let mut closing = DeferredClose::default();
        let pipes = hand_over(&mut closing, 610..614);
        flush_without(libc::SYS_close_range, &mut closing);
        assert!(!pipes.iter().any(is_open));
    }

    #[test]
    fn numbers_in_between_stay_open() {
        let mut closing = DeferredClose::default();
        let others = [pipe(621), pipe(624)];
        let pipes = hand_over(&mut closing, [620, 622, 623, 625]);
        closing.flush();
        assert!(!pipes.iter().any(is_open));
        assert!(others.iter().all(|(_, writer)| is_open(writer)));
    }

    #[test]
    fn what_was_closed_is_forgotten() {
        let mut closing = DeferredClose::default();
        hand_over(&mut closing, 630..632);
        closing.flush();
        let others = [pipe(630), pipe(631)];
        closing.flush();
        drop(closing);
        assert!(others.iter().all(|(_, writer)| is_open(writer)));
    }

    #[test]
    fn few_are_kept_and_none_is_left() {
        let mut closing = DeferredClose::default();
        let pipes = hand_over(&mut closing, 640..640 + MAX_KEPT as RawFd + 2);
        let (first, last) = pipes.split_at(MAX_KEPT);
        assert!(!first.iter().any(is_open) && last.iter().all(is_open));
        drop(closing);
        assert!(!last.iter().any(is_open));
    }

    #[test]
    fn what_fills_gaps_is_kept_for_long() {
        let mut closing = DeferredClose::default();
        let run = 690..690 + MAX_KEPT as RawFd - 2;
        let pipes = hand_over(&mut closing, [680].into_iter().chain(run).chain([682]));
        let is_kept: Vec<bool> = pipes.iter().map(is_open).collect();
        assert!(is_kept[0] && is_kept[MAX_KEPT - 1] && !is_kept[1..MAX_KEPT - 1].contains(&true), "{is_kept:?}");
        closing.flush();
        assert!(!pipes.iter().any(is_open));
    }
}
