//! What comes from a worker: records, cut out of the bytes of its ring.

use procession_os::Segment;

use crate::lane::{PIECE, WORKER_BELL};
use crate::ring::{Consumer, Corrupt};
use crate::wire::{self, RecordKind};
use crate::worker::MAX_FAULT;

/// Results from this size on get memory of their own.
const LARGE: usize = 64 * 1024;

/// What has come out of a worker's ring and was not taken yet.
pub(crate) struct Incoming {
    /// No record is longer.
    max_record_bytes: usize,
    /// Records, the last one perhaps incomplete.
    bytes: Vec<u8>,
    large: Option<Large>,
}

struct Large {
    kind: RecordKind,
    len: usize,
    payload: Vec<u8>,
}

/// What a look into the results' ring gave.
pub(crate) enum Parsed {
    /// `count` results of done items, as records.
    Run {
        count: u32,
        records: Vec<u8>,
    },
    /// One done item.
    Large(Vec<u8>),
    Fault(Vec<u8>),
    NotReady(Vec<u8>),
}

impl Incoming {
    /// Nothing yet. A result may be so long.
    pub fn new(max_result_bytes: usize) -> Incoming {
        Incoming { max_record_bytes: max_result_bytes.max(MAX_FAULT), bytes: Vec::new(), large: None }
    }

    /// Forgets what was not taken.
    pub fn clear(&mut self) {
        (self.bytes, self.large) = (Vec::new(), None);
    }

    /// Takes the next results, if any have come, of at most `open` items.
    pub fn take(&mut self, results: &mut Consumer, memory: &Segment, open: u32) -> Result<Option<Parsed>, Corrupt> {
        loop {
            if let Some(large) = &mut self.large {
                let left = large.len - large.payload.len();
                if left == 0 {
                    let Some(Large { kind, payload, .. }) = self.large.take() else { return Err(Corrupt) };
                    return Ok(Some(match kind {
                        RecordKind::Done => Parsed::Large(payload),
                        RecordKind::Fault => Parsed::Fault(payload),
                        RecordKind::NotReady => Parsed::NotReady(payload),
                    }));
                }
                let available = results.available(memory)?;
                if available == 0 {
                    return Ok(None);
                }
                let now = available.min(left).min(PIECE);
                large.payload.try_reserve(now).map_err(|_| Corrupt)?;
                results.take(memory, now, &mut large.payload);
                WORKER_BELL.ring(memory);
                continue;
            }
            if let Some(parsed) = self.parse(open)? {
                return Ok(Some(parsed));
            }
            if self.large.is_some() {
                continue;
            }
            let available = results.available(memory)?;
            if available == 0 {
                return Ok(None);
            }
            results.take(memory, available.min(PIECE), &mut self.bytes);
            WORKER_BELL.ring(memory);
        }
    }

    /// Parses what has come: a run of done items, or one other record.
    fn parse(&mut self, open: u32) -> Result<Option<Parsed>, Corrupt> {
        let bytes = &self.bytes;
        let (mut at, mut count) = (0, 0);
        while count < open.max(1) {
            let Some((header, prefix)) = bytes.get(at..).and_then(wire::get_varint) else { break };
            let (kind, len) = RecordKind::parse(header).ok_or(Corrupt)?;
            if kind != RecordKind::NotReady && open == 0 {
                return Err(Corrupt);
            }
            let start = at + prefix;
            let is_complete = bytes.len() - start >= len;
            if kind == RecordKind::Done && is_complete && len < LARGE {
                at = start + len;
                count += 1;
                continue;
            }
            if count > 0 {
                break;
            }
            if !is_complete && len < LARGE {
                break;
            }
            if len > self.max_record_bytes {
                return Err(Corrupt);
            }
            // The record gets memory of its own.
            let mut payload = Vec::new();
            payload.try_reserve(len).map_err(|_| Corrupt)?;
            if len >= 4 << 20 {
                procession_os::advise_huge_pages(&mut payload);
            }
            let here = (bytes.len() - start).min(len);
            payload.extend_from_slice(&bytes[start..start + here]);
            self.bytes.drain(..start + here);
            self.large = Some(Large { kind, len, payload });
            return Ok(None);
        }
        if count == 0 {
            return Ok(None);
        }
        let records =
            if at == bytes.len() { std::mem::take(&mut self.bytes) } else { self.bytes.drain(..at).collect() };
        Ok(Some(Parsed::Run { count, records }))
    }
}
