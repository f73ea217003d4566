//! What the fuzz targets in fuzz/ call: bytes of another process, as the code that reads them meets them.

use std::cell::OnceCell;
use std::fs::File;
use std::sync::atomic::Ordering;

use procession_os::Segment;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handle::Descriptor;
use crate::lane::{Lane, RESULTS};
use crate::pool::incoming::{Incoming, Parsed};
use crate::ring::{Consumer, Place, Producer};
use crate::wire::{self, Bytes, FRAME_HEADER, Fault, Frame, RecordKind};
use crate::{journal, logging, manager, supervisor};

/// The bytes that are left to a target.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}

/// Frames, chunks, and the values in them.
pub fn frames(data: &[u8]) {
    if let Some(frame) = Frame::parse(data) {
        assert_eq!(frame.to_bytes(), data[..FRAME_HEADER]);
    }
    let mut at = 0;
    while let Some((start, end)) = wire::next_item(data, at) {
        assert!(at < start && start <= end && end <= data.len());
        let _ = wire::decode::<u64>(Bytes::Borrowed(&data[start..end]));
        let _ = wire::decode::<Vec<u8>>(Bytes::Owned(data[start..end].to_vec()));
        let _ = wire::decode::<Vec<(String, Option<f64>)>>(Bytes::Borrowed(&data[start..end]));
        at = end;
    }
    if let Some((number, _)) = wire::get_varint(data) {
        let mut bytes = Vec::new();
        wire::put_varint(number, &mut bytes);
        assert_eq!(wire::get_varint(&bytes), Some((number, bytes.len())));
        if let Some((kind, len)) = RecordKind::parse(number) {
            assert_eq!(kind.header(len), number);
        }
    }
    survives::<Fault>(data);
}

/// A pool's look at the results of a worker that writes what it likes into its ring, and sets the counter as it likes.
pub fn records(data: &[u8]) {
    thread_local!(static LANE: OnceCell<Lane> = const { OnceCell::new() });
    LANE.with(|lane| {
        let lane = lane.get_or_init(|| Lane { memory: Segment::create("fuzzing", Lane::BYTES).unwrap().0 });
        lane.reset();
        let mut input = Input(data);
        let Some(open) = input.byte() else { return };
        let (mut results, mut incoming, mut head) = (Consumer::new(RESULTS), Incoming::new(1 << 20), 0u64);
        // A record of any length may come piece by piece; its memory is bounded by the number of these.
        for _ in 0..64 {
            let (Some(action), Some(count)) = (input.byte(), input.byte()) else { return };
            match action {
                0 => head = input.word().unwrap_or_default(),
                // Whatever is there already.
                1 => head = head.wrapping_add(u64::from(count) << 10),
                _ => {
                    for byte in input.take(usize::from(count)).unwrap_or_default() {
                        let at = head as usize & (RESULTS.capacity - 1);
                        lane.memory.write(RESULTS.data + at, &[*byte]);
                        head = head.wrapping_add(1);
                    }
                }
            }
            lane.memory.u64(RESULTS.head).store(head, Ordering::Relaxed);
            loop {
                match incoming.take(&mut results, &lane.memory, u32::from(open)) {
                    Ok(Some(Parsed::Run { count, records })) => assert_run(count, u32::from(open), &records),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
        }
    });
}

fn assert_run(count: u32, open: u32, records: &[u8]) {
    assert!(count > 0 && count <= open);
    let mut at = 0;
    for _ in 0..count {
        let (header, prefix) = wire::get_varint(&records[at..]).expect("a header");
        let (kind, len) = RecordKind::parse(header).expect("a kind");
        assert_eq!(kind, RecordKind::Done);
        at += prefix + len;
    }
    assert_eq!(at, records.len());
}

/// Both ends of a ring whose counters a hostile peer sets between their steps.
pub fn ring(data: &[u8]) {
    const PLACE: Place = Place { head: 0, tail: 64, data: 128, capacity: 64 };
    thread_local!(static MEMORY: OnceCell<Segment> = const { OnceCell::new() });
    MEMORY.with(|memory| {
        let memory = memory.get_or_init(|| Segment::create("fuzzing", 4096).unwrap().0);
        for at in [PLACE.head, PLACE.tail] {
            memory.u64(at).store(0, Ordering::Relaxed);
        }
        let (mut producer, mut consumer) = (Producer::new(PLACE), Consumer::new(PLACE));
        let mut input = Input(data);
        while let (Some(action), Some(count)) = (input.byte(), input.byte()) {
            let count = usize::from(count);
            match action % 5 {
                0 => memory.u64(PLACE.head).store(input.word().unwrap_or_default(), Ordering::Relaxed),
                1 => memory.u64(PLACE.tail).store(input.word().unwrap_or_default(), Ordering::Relaxed),
                2 => {
                    let Ok(room) = producer.room(memory, count) else { return };
                    assert!(room <= PLACE.capacity);
                    producer.stage(memory, &data[..count.min(room).min(data.len())]);
                    producer.publish(memory);
                }
                3 => drop(producer.put_short(memory, action, &data[..count.min(data.len())])),
                _ => {
                    let Ok(available) = consumer.available(memory) else { return };
                    assert!(available <= PLACE.capacity);
                    let mut out = Vec::new();
                    consumer.take(memory, count, &mut out);
                    assert_eq!(out.len(), count.min(available));
                }
            }
        }
    });
}

/// An argument with handles in it, and fewer or more descriptors than it names.
pub fn handles(data: &[u8]) {
    let Some((count, bytes)) = data.split_first() else { return };
    let fds = || (0..count % 4).map(|_| File::open("/dev/null").expect("descriptors").into()).collect();
    let _ = wire::decode_argument::<Vec<(u8, Descriptor, String)>>(Bytes::Borrowed(bytes), fds());
    let _ = wire::decode_argument::<Option<[Descriptor; 2]>>(Bytes::Owned(bytes.to_vec()), fds());
    let _ = wire::decode_argument::<manager::server::Request>(Bytes::Borrowed(bytes), fds());
}

/// The messages between a program and its supervisor.
pub fn supervisor(data: &[u8]) {
    survives::<supervisor::Request>(data);
    survives::<supervisor::Notice>(data);
}

/// The log events of workers.
pub fn logging(data: &[u8]) {
    if let Some(event) = logging::parse(data) {
        survives::<logging::Event>(data);
        logging::pass_on(&event, 1);
    }
}

/// A file that was a journal once, or never.
pub fn journal(data: &[u8]) {
    let journal::Found { start, end, count } = journal::find(data);
    assert!(start <= end && end <= data.len() as u64 && (count > 0) == (end > start));
}

/// What can be decoded is encoded to what decodes to the same.
fn survives<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(value) = postcard::from_bytes::<T>(data) {
        let bytes = postcard::to_stdvec(&value).expect("what was decoded can be encoded");
        let again = postcard::from_bytes::<T>(&bytes).expect("what was encoded can be decoded");
        assert_eq!(postcard::to_stdvec(&again).expect("as before"), bytes);
    }
}
