//! One place for a worker: the program's side of a lane, and what is known of the worker that has it now.

use std::collections::{HashSet, VecDeque};
use std::io::{self, PipeReader, Read};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use procession_os::{Channel, Segment};

use super::batch::{Beside, Chunk, all_of};
use super::incoming::{Incoming, Parsed};
use crate::lane::{Lane, PIECE, RESULTS, TASKS, WORKER_BELL};
use crate::ring::{Consumer, Corrupt, Producer};
use crate::wire::{FRAME_HEADER, Frame, FrameKind};

/// How much of a worker's standard error is kept.
const STDERR_TAIL: usize = 4096;

pub(crate) struct Slot {
    pub lane: Lane,
    pub lane_fd: OwnedFd,
    /// By which the handles of arguments go to the worker.
    pub channel: Option<Channel>,
    tasks: Producer,
    results: Consumer,
    /// Frames that did not fit into the ring yet.
    outgoing: VecDeque<Outgoing>,
    incoming: Incoming,
    /// What the worker has been given and not answered, oldest first.
    pub queue: VecDeque<InFlight>,
    /// Number of the next item to be given.
    pub next_seq: u64,
    /// Number of the next item to be answered.
    pub acked_seq: u64,
    pub phase: Phase,
    /// When its worker was asked for.
    pub asked_at: Instant,
    /// Tells this worker from the ones before it, among all of the pool.
    pub worker_id: u64,
    pub pid: u32,
    pub pidfd: Option<OwnedFd>,
    pub stderr: Option<PipeReader>,
    pub stderr_tail: VecDeque<u8>,
    /// Tasks given to this worker.
    pub given: u64,
    pub contexts: HashSet<u64>,
    /// When the item that runs began, as seen from here: never before it really did.
    pub progress_at: Instant,
    /// How much the worker had taken out of the tasks' ring when we looked last.
    taken: u64,
    /// Size of items that were answered, of chunks whose rest was taken back.
    pub bytes_done: usize,
    pub doom: Option<Doom>,
    /// Most resident memory that was seen.
    pub peak_bytes: u64,
    /// CPU time that the worker had used when the item of that number was first seen to run.
    pub cpu_at_begin: Option<(u64, Duration)>,
    /// It has set itself up: what its lane says of that later counts no more.
    pub is_up: bool,
    /// It has broken the protocol, and nothing is taken from it any more.
    pub is_broken: bool,
    /// Why a worker could not be set up, as it says.
    pub not_ready: Option<String>,
}

/// The life of a worker, as its slot sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none; one is to be started at that time.
    Empty(Instant),
    /// Asked for, and not yet set up. It may be given a chunk, which waits in the lane.
    Starting,
    /// It has taken its first frame.
    Running,
    /// Told to end after the tasks that it has.
    Stopping,
    /// To be killed, or killed but not yet known to be dead.
    Doomed,
    /// Gone for good: the pool ends.
    Gone,
}

/// Why a worker is killed by its pool.
#[derive(Debug, Clone)]
pub(crate) struct Doom {
    pub reason: DoomReason,
    /// Number of the item that it is meant for.
    pub seq: u64,
    /// When SIGTERM is followed by SIGKILL.
    pub kill_at: Option<Instant>,
}

#[derive(Debug, Clone)]
pub(crate) enum DoomReason {
    TimedOut(Duration),
    /// It used more CPU time than this.
    OverCpu(Duration),
    /// It used more memory than it may, as the pool saw.
    OverMemory,
    /// The machine is short of memory: its task is begun anew later.
    PutBack,
    Cancelled(String),
    /// It broke the protocol.
    Corrupt,
}

pub(crate) struct InFlight {
    pub chunk: Chunk,
    pub first_seq: u64,
    pub done: u32,
}

struct Outgoing {
    header: [u8; FRAME_HEADER],
    payload: Arc<Vec<u8>>,
    range: Range<usize>,
    sent: usize,
}

impl Slot {
    pub fn new(max_result_bytes: usize) -> io::Result<Slot> {
        let (memory, lane_fd) = Segment::create("procession-lane", Lane::BYTES)?;
        Ok(Slot {
            lane: Lane { memory },
            lane_fd,
            channel: None,
            tasks: Producer::new(TASKS),
            results: Consumer::new(RESULTS),
            outgoing: VecDeque::new(),
            incoming: Incoming::new(max_result_bytes),
            queue: VecDeque::new(),
            next_seq: 0,
            acked_seq: 0,
            phase: Phase::Empty(Instant::now()),
            asked_at: Instant::now(),
            worker_id: 0,
            pid: 0,
            pidfd: None,
            stderr: None,
            stderr_tail: VecDeque::new(),
            given: 0,
            contexts: HashSet::new(),
            progress_at: Instant::now(),
            taken: 0,
            bytes_done: 0,
            doom: None,
            peak_bytes: 0,
            cpu_at_begin: None,
            is_up: false,
            is_broken: false,
            not_ready: None,
        })
    }

    /// Makes room for another worker. The one before must be dead.
    pub fn renew(&mut self) {
        self.lane.reset();
        self.tasks = Producer::new(TASKS);
        self.results = Consumer::new(RESULTS);
        self.outgoing.clear();
        self.incoming.clear();
        self.queue.clear();
        (self.next_seq, self.acked_seq, self.given, self.taken) = (0, 0, 0, 0);
        (self.pid, self.pidfd, self.stderr, self.doom, self.not_ready) = (0, None, None, None, None);
        self.channel = None;
        (self.peak_bytes, self.cpu_at_begin) = (0, None);
        (self.is_up, self.is_broken) = (false, false);
        self.stderr_tail.clear();
        self.contexts.clear();
        self.progress_at = Instant::now();
        self.asked_at = self.progress_at;
    }

    /// Whether its worker, if it ends, does so for what it has done, and not because its time was up or its task cancelled.
    pub fn is_own_end(&self) -> bool {
        self.doom.as_ref().is_none_or(|doom| matches!(doom.reason, DoomReason::OverMemory))
    }

    /// Whether frames wait for room in the ring.
    pub fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Sends a frame that is only a header.
    pub fn send_plain(&mut self, frame: Frame) -> Result<(), Corrupt> {
        self.send(frame, Arc::default(), 0..0)
    }

    /// Sends a frame: into the ring, or as far as there is room.
    pub fn send(&mut self, frame: Frame, payload: Arc<Vec<u8>>, range: Range<usize>) -> Result<(), Corrupt> {
        let header = frame.to_bytes();
        let memory = &self.lane.memory;
        let len = FRAME_HEADER + range.len();
        if self.outgoing.is_empty() && self.tasks.room(memory, len)? >= len {
            self.tasks.stage(memory, &header);
            self.tasks.stage(memory, &payload[range]);
            self.tasks.publish(memory);
            WORKER_BELL.ring(memory);
            return Ok(());
        }
        self.outgoing.push_back(Outgoing { header, payload, range, sent: 0 });
        self.send_more()
    }

    /// Sends what goes beside a frame, which must be sent next and say how many they are.
    ///
    /// # Errors
    /// When that cannot be done now: a user may have no more descriptors on their way than a process may have open
    /// (unix(7), ETOOMANYREFS).
    pub fn send_handles(&self, beside: Beside<'_>) -> io::Result<()> {
        let Some(channel) = self.channel.as_ref().filter(|_| !beside.handles.is_empty()) else { return Ok(()) };
        let fds: Vec<_> = beside.handles.iter().map(AsFd::as_fd).collect();
        match channel.try_send(&(beside.first_place as u16).to_le_bytes(), &fds) {
            // It is dead, as will be told.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent,
        }
    }

    /// Goes on with frames that did not fit.
    pub fn send_more(&mut self) -> Result<(), Corrupt> {
        let memory = &self.lane.memory;
        let mut has_asked = false;
        while let Some(frame) = self.outgoing.front_mut() {
            let room = self.tasks.room(memory, TASKS.capacity / 4)?;
            if room == 0 {
                if has_asked {
                    return Ok(());
                }
                // Ask first, then look again: the worker looks for the wish after it has made room.
                self.lane.set_wants_room(true);
                has_asked = true;
                continue;
            }
            let bytes = match frame.sent.checked_sub(FRAME_HEADER) {
                None => &frame.header[frame.sent..],
                Some(sent) => &frame.payload[frame.range.start + sent..frame.range.end],
            };
            let now = bytes.len().min(room).min(PIECE);
            self.tasks.stage(memory, &bytes[..now]);
            self.tasks.publish(memory);
            WORKER_BELL.ring(memory);
            frame.sent += now;
            if frame.sent == FRAME_HEADER + frame.range.len() {
                self.outgoing.pop_front();
            }
        }
        self.lane.set_wants_room(false);
        Ok(())
    }

    /// Sends what has to be there before a chunk: its context, and its handles. False if that cannot be done now.
    pub fn prepare(&mut self, chunk: &Chunk) -> Result<bool, Corrupt> {
        if let Some(context) = &chunk.batch.context
            && !self.contexts.contains(&context.id)
        {
            let beside = all_of(&context.handles);
            if self.send_handles(beside).is_err() {
                return Ok(false);
            }
            let len = context.bytes.len();
            let frame = Frame {
                len: len as u64,
                context: context.id,
                handles: beside.count(),
                ..Frame::plain(FrameKind::Context)
            };
            self.contexts.insert(context.id);
            self.send(frame, Arc::clone(&context.bytes), 0..len)?;
        }
        Ok(self.send_handles(chunk.own_handles()).is_ok())
    }

    /// Gives the worker a chunk, for which it is [`prepare`](Slot::prepare)d.
    pub fn give(&mut self, chunk: Chunk, now: Instant) -> Result<(), Corrupt> {
        let context = chunk.batch.context.as_ref();
        if self.queue.is_empty() {
            self.progress_at = now;
        }
        let frame = Frame {
            handles: chunk.own_handles().count(),
            kind: if chunk.is_single { FrameKind::Single } else { FrameKind::Chunk },
            count: chunk.count,
            len: chunk.range.len() as u64,
            call: chunk.batch.call,
            context: context.map_or(0, |c| c.id),
            seq: self.next_seq,
            first: chunk.first as u64,
        };
        let (payload, range) = (Arc::clone(&chunk.payload), chunk.range.clone());
        self.given += u64::from(chunk.count);
        self.queue.push_back(InFlight { first_seq: self.next_seq, done: 0, chunk });
        self.next_seq += u64::from(self.queue.back().map_or(0, |f| f.chunk.count));
        // From here on the chunk is in the queue, whatever the worker has done to its lane.
        self.send(frame, payload, range)
    }

    /// Closes the handles of an item that has begun and is not tried again: they are its worker's now.
    pub fn release_handles(&mut self, retries: u32) {
        if let Some(InFlight { chunk, first_seq, .. }) = self.queue.front_mut()
            && chunk.is_single
            && chunk.handles.is_some()
            && chunk.attempts >= retries
            && self.lane.claimed().0 > *first_seq
        {
            chunk.handles = None;
        }
    }

    /// Drops a context that no call uses any more.
    pub fn forget(&mut self, context: u64) -> Result<(), Corrupt> {
        if !self.contexts.remove(&context) || matches!(self.phase, Phase::Empty(_) | Phase::Gone | Phase::Doomed) {
            return Ok(());
        }
        self.send_plain(Frame { context, ..Frame::plain(FrameKind::Forget) })
    }

    /// Whether there is something to [`take`](Slot::take), or room for frames that wait for it.
    pub fn can_move(&mut self) -> bool {
        // What a dead or broken worker has left does not move.
        if self.is_broken || matches!(self.phase, Phase::Empty(_) | Phase::Gone) {
            return false;
        }
        self.results.available(&self.lane.memory) != Ok(0)
            || self.is_sending() && self.tasks.room(&self.lane.memory, 1) != Ok(0)
    }

    /// Whether its worker is at an item, as far as we have its answers.
    pub fn has_begun(&self) -> bool {
        self.lane.claimed().0 > self.acked_seq
    }

    /// Starts the clock of the next item anew as long as its worker is not to blame that it has not begun: it is being
    /// set up, or frames are on their way to it. Returns whether an item runs.
    pub fn watch_progress(&mut self, now: Instant) -> bool {
        let taken = self.tasks.taken(&self.lane.memory).unwrap_or(self.taken);
        let has_moved = std::mem::replace(&mut self.taken, taken) != taken;
        let waits_for_us = self.is_sending() && self.tasks.is_empty();
        let has_begun = self.has_begun();
        if !has_begun && (has_moved || waits_for_us || !self.is_up) {
            self.progress_at = now;
        }
        has_begun
    }

    /// Takes the next results, if any have come. Never more items than the oldest chunk has open.
    pub fn take(&mut self) -> Result<Option<Parsed>, Corrupt> {
        let open = self.queue.front().map_or(0, |f| f.chunk.count - f.done);
        self.incoming.take(&mut self.results, &self.lane.memory, open)
    }

    /// The item that is answered next, as a chunk of its own.
    pub fn current_item(&self) -> Option<Chunk> {
        let front = self.queue.front()?;
        let mut rest = front.chunk.clone();
        rest.split_front(front.done);
        Some(rest.split_front(1))
    }

    /// `count` items of the oldest chunk are answered. Returns how long they took together, as seen from here.
    pub fn acknowledge(&mut self, count: u32, now: Instant) -> Duration {
        self.acked_seq += u64::from(count);
        if let Some(front) = self.queue.front_mut() {
            front.done += count;
            if front.done >= front.chunk.count {
                self.queue.pop_front();
            }
        }
        let time = now.saturating_duration_since(self.progress_at);
        self.progress_at = now;
        time
    }

    /// Takes back the items that have not begun: as chunks, in order.
    pub fn revoke(&mut self) -> Vec<Chunk> {
        // A broken worker may have written anything; what is answered has begun, and nothing beyond what was given.
        let begun = self.lane.revoke().clamp(self.acked_seq, self.next_seq);
        let back = self.withdraw(begun);
        // The numbers are given out again: items of the frames before the next Resume cannot be begun with them.
        self.next_seq = begun;
        back
    }

    /// Takes the items from number `begun` on out of the queue.
    pub fn withdraw(&mut self, begun: u64) -> Vec<Chunk> {
        let mut back = VecDeque::new();
        while let Some(last) = self.queue.back_mut() {
            if last.first_seq + u64::from(last.chunk.count) <= begun {
                break;
            }
            let keep = begun.saturating_sub(last.first_seq) as u32;
            if keep == 0 {
                back.extend(self.queue.pop_back().map(|f| f.chunk));
            } else {
                let kept = last.chunk.split_front(keep);
                back.push_back(std::mem::replace(&mut last.chunk, kept));
                if last.done >= last.chunk.count {
                    self.bytes_done += self.queue.pop_back().map_or(0, |f| f.chunk.range.len());
                }
                break;
            }
        }
        self.given = self.given.saturating_sub(back.iter().map(|c| u64::from(c.count)).sum());
        back.into_iter().rev().collect()
    }

    /// Lets the worker begin items again after [`Slot::revoke`].
    pub fn resume(&mut self) -> Result<(), Corrupt> {
        self.send_plain(Frame { seq: self.next_seq, ..Frame::plain(FrameKind::Resume) })
    }

    /// How many of its items have not begun. None while earlier ones are being taken back.
    pub fn not_begun(&self) -> Option<u64> {
        let (begun, is_revoked) = self.lane.claimed();
        (!is_revoked).then(|| self.next_seq.saturating_sub(begun.max(self.acked_seq)))
    }

    /// How long what it has should still take; None if unknown.
    pub fn time_left(&self) -> Option<Duration> {
        self.queue.iter().map(|f| Some(f.chunk.batch.pace.item()? * (f.chunk.count - f.done))).sum()
    }

    /// Reads what the worker wrote to its standard error. False at its end.
    pub fn read_stderr(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(pipe) = &mut self.stderr else { return false };
        let mut buffer = [0; 4096];
        // A flood must not keep us here.
        for _ in 0..16 {
            match pipe.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => {
                    out.extend_from_slice(&buffer[..n]);
                    self.stderr_tail.extend(&buffer[..n]);
                    let excess = self.stderr_tail.len().saturating_sub(STDERR_TAIL);
                    self.stderr_tail.drain(..excess);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }

    /// The worker's process id: it may have answered before the supervisor has told it. 0 if neither has.
    pub fn pid(&self) -> u32 {
        if self.pid > 0 { self.pid } else { self.lane.worker_pid() }
    }

    pub fn stderr_text(&self) -> String {
        let (a, b) = self.stderr_tail.as_slices();
        String::from_utf8_lossy(&[a, b].concat()).into_owned()
    }

    /// The descriptors that a new worker needs from here: its lane.
    pub fn lane_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.lane_fd.as_fd()
    }
}
