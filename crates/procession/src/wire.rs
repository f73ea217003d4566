//! How values travel: postcard (its wire format is documented and stable), and the framing of tasks and results.

use std::any::{Any, TypeId};
use std::os::fd::OwnedFd;

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::FailureKind;
use crate::handle::{self, Descriptor, Handles, Received, Sending};

/// Appends to a vector.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() <= 8 {
            // Numbers: cheaper than a call to copy them.
            self.0.reserve(8);
            bytes.iter().for_each(|&byte| self.0.push(byte));
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Does `$then` with the type, if `$type` is one of the numbers that travel as their little-endian bytes: cheaper than a
/// varint, which has as many branches as bytes. Decided when compiled.
macro_rules! if_number {
    ($type:ty, $number:ident => $then:block) => {
        if_number!($type, $number => $then; u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64)
    };
    ($type:ty, $number:ident => $then:block; $($of:ty)*) => {
        $(if TypeId::of::<$type>() == TypeId::of::<$of>() {
            type $number = $of;
            $then
        })*
    };
}

/// Puts the encoding of `value` at the end of `out`. A `Vec<u8>` is itself, and moves if `out` is empty; a number is its
/// little-endian bytes; anything else is as postcard has it.
///
/// On an error `out` keeps what it had.
#[inline(always)]
pub(crate) fn encode<T: Serialize + 'static>(value: T, out: &mut Vec<u8>) -> Result<(), String> {
    if_number!(T, Number => {
        if let Some(number) = (&value as &dyn Any).downcast_ref::<Number>() {
            out.extend_from_slice(&number.to_le_bytes());
            return Ok(());
        }
    });
    let mut value = Some(value);
    if let Some(bytes) = (&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>() {
        let bytes = bytes.take().unwrap_or_default();
        if out.is_empty() {
            *out = bytes
        } else {
            out.extend_from_slice(&bytes)
        }
        return Ok(());
    }
    let Some(value) = &value else { return Err("no value".to_string()) };
    encode_reference(value, out)
}

/// As [`encode`], for what is neither a number nor bytes.
#[inline(always)]
fn encode_reference<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
    let before = out.len();
    postcard::serialize_with_flavor(value, Append(out)).map_err(|e| {
        out.truncate(before);
        handle::describe(e)
    })
}

/// Bytes of a value: part of a larger buffer, or all of its own.
pub(crate) enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

impl Bytes<'_> {
    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// The value that `bytes` encode: all of them, or it is an error.
#[inline(always)]
pub(crate) fn decode<T: DeserializeOwned + 'static>(bytes: Bytes<'_>) -> Result<T, String> {
    if_number!(T, Number => {
        let bytes = bytes.as_slice();
        let number = bytes.try_into().map(Number::from_le_bytes);
        let number = number.map_err(|_| format!("{} bytes for a number of {}", bytes.len(), size_of::<T>()))?;
        let mut value = Some(number);
        if let Some(value) = (&mut value as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take) {
            return Ok(value);
        }
    });
    let mut value = None::<T>;
    if let Some(slot) = (&mut value as &mut dyn Any).downcast_mut::<Option<Vec<u8>>>() {
        *slot = Some(match bytes {
            Bytes::Borrowed(b) => b.to_vec(),
            Bytes::Owned(b) => b,
        });
    } else {
        value = Some(decode_shared(bytes.as_slice())?);
    }
    value.ok_or_else(|| "no value".to_string())
}

/// Encodes an argument, as [`encode`] does; returns the handles in it.
#[inline(always)]
pub(crate) fn encode_argument<T: Serialize + 'static>(value: T, out: &mut Vec<u8>) -> Result<Handles, String> {
    if is_plain::<T>() {
        return encode(value, out).map(|()| Handles::new());
    }
    let sending = Sending::begin();
    encode(value, out)?;
    Ok(sending.take())
}

/// Whether values of the type have no handles in them for certain. Decided when compiled.
#[inline(always)]
fn is_plain<T: 'static>() -> bool {
    if_number!(T, Number => { return size_of::<Number>() > 0; });
    TypeId::of::<T>() == TypeId::of::<Vec<u8>>()
}

/// The argument that `bytes` encode, with the handles that came beside them.
#[inline(always)]
pub(crate) fn decode_argument<T: DeserializeOwned + 'static>(bytes: Bytes<'_>, fds: Vec<OwnedFd>) -> Result<T, String> {
    if fds.is_empty() { decode(bytes) } else { handle::with_received(fds, || decode(bytes)) }
}

/// The argument that one item of a chunk encodes, with its own of the handles that came beside the chunk.
#[inline(always)]
pub(crate) fn decode_item<T: DeserializeOwned + 'static>(item: Bytes<'_>, handles: &mut Received) -> Result<T, String> {
    if handles.is_empty() { decode(item) } else { handle::with_shared(handles, || decode(item)) }
}

/// The encoding of a value that its owner keeps, for [`decode_shared`]: as postcard has it, whatever its type.
pub(crate) fn encode_shared<T: Serialize>(value: &T) -> Result<(Vec<u8>, Handles), String> {
    let sending = Sending::begin();
    let bytes = postcard::to_stdvec(value).map_err(handle::describe)?;
    Ok((bytes, sending.take()))
}

/// The value that `bytes` encode: all of them, or it is an error.
#[inline]
pub(crate) fn decode_shared<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (decoded, rest) = postcard::take_from_bytes(bytes).map_err(handle::describe)?;
    if !rest.is_empty() {
        return Err(format!("{} bytes too many", rest.len()));
    }
    Ok(decoded)
}

/// For serde's `with`: a vector of bytes as one string of bytes, not as a list of numbers.
pub(crate) mod byte_string {
    use serde::de::{Deserializer, Visitor};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Copy;
        impl Visitor<'_> for Copy {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string of bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Copy)
    }
}

/// Appends `number` in groups of seven bits, lowest first, as postcard does.
#[inline]
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number from the front of `bytes`: it and its length. None if there is only part of it yet; a number that is
/// too long reads as `u64::MAX`.
#[inline]
pub(crate) fn get_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Some((byte.into(), 1)),
        _ => get_long_varint(bytes),
    }
}

fn get_long_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for (i, &byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((if i == 9 && byte > 1 { u64::MAX } else { number }, i + 1));
        }
    }
    (bytes.len() >= 10).then_some((u64::MAX, 10))
}

/// Appends an encoded item to the payload of a chunk: its length, then its bytes.
#[inline]
pub(crate) fn put_item(item: &[u8], chunk: &mut Vec<u8>) {
    put_varint(item.len() as u64, chunk);
    chunk.extend_from_slice(item);
}

/// Encodes an item and appends it to the payload of a chunk, as [`put_item`] does, and its handles to those of the chunk;
/// or gives its encoding and handles back, if it has to travel alone: it takes `large` bytes or more, or has handles other
/// than those of files, or too many. The places of its handles go on from those of the chunk even so. On an error the chunk
/// keeps what it had.
#[inline]
pub(crate) fn append_item<T: Serialize + 'static>(
    value: T,
    chunk: &mut Vec<u8>,
    chunk_handles: &mut Handles,
    large: usize,
) -> Result<Option<(Vec<u8>, Handles)>, String> {
    if TypeId::of::<T>() == TypeId::of::<Vec<u8>>() {
        let mut bytes = Vec::new();
        encode(value, &mut bytes)?;
        if bytes.len() >= large {
            return Ok(Some((bytes, Handles::new())));
        }
        put_item(&bytes, chunk);
        return Ok(None);
    }
    // Most items are short, and their length fits into one byte.
    let at = chunk.len();
    chunk.push(0);
    if is_plain::<T>() {
        encode(value, chunk)?;
    } else {
        let sending = Sending::begin_after(chunk_handles.len());
        if let Err(e) = encode_reference(&value, chunk) {
            chunk.truncate(at);
            return Err(e);
        }
        let mut handles = sending.take();
        let fits = chunk_handles.len() + handles.len() <= handle::MAX_HANDLES;
        let are_for_chunks = fits && handles.iter().all(Descriptor::is_file);
        if !are_for_chunks || chunk.len() - at > large {
            let bytes = chunk.split_off(at + 1);
            chunk.truncate(at);
            return Ok(Some((bytes, handles)));
        }
        chunk_handles.append(&mut handles);
    }
    let len = chunk.len() - at - 1;
    if len < 0x80 {
        chunk[at] = len as u8;
    } else {
        let bytes = chunk.split_off(at + 1);
        chunk.truncate(at);
        put_item(&bytes, chunk);
    }
    Ok(None)
}

/// Where the next item of a chunk lies: start and end. None at the end, and for bytes that are no chunk.
#[inline]
pub(crate) fn next_item(chunk: &[u8], at: usize) -> Option<(usize, usize)> {
    let (len, prefix) = get_varint(chunk.get(at..)?)?;
    let start = at + prefix;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= chunk.len()).then_some((start, end))
}

/// What a record of a worker's results means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// A task's encoded result.
    Done = 0,
    /// A [`Fault`]: the task did not give a result.
    Fault = 1,
    /// A [`Fault`]: the worker's initializer failed, and the worker ends.
    NotReady = 2,
}

impl RecordKind {
    /// The first number of a record: payload length and kind.
    #[inline]
    pub fn header(self, len: usize) -> u64 {
        (len as u64) << 2 | self as u64
    }

    /// Kind and payload length.
    #[inline]
    pub fn parse(header: u64) -> Option<(RecordKind, usize)> {
        let kind = match header & 3 {
            0 => RecordKind::Done,
            1 => RecordKind::Fault,
            2 => RecordKind::NotReady,
            _ => return None,
        };
        Some((kind, usize::try_from(header >> 2).ok()?))
    }
}

/// Why a worker has no result for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(crate) enum Fault {
    /// The function returned `Err`.
    Failed(String),
    /// The function returned `Err`, and another try may help.
    Passing(String),
    Panicked {
        message: String,
        location: String,
        backtrace: Option<String>,
    },
    /// The argument is not what the function takes.
    BadArgument(String),
    /// The result could not be encoded.
    BadResult(String),
}

impl From<Fault> for FailureKind {
    fn from(fault: Fault) -> FailureKind {
        match fault {
            Fault::Failed(message) | Fault::Passing(message) => FailureKind::Failed { message },
            Fault::Panicked { message, location, backtrace } => FailureKind::Panicked { message, location, backtrace },
            Fault::BadArgument(message) => FailureKind::BadArgument { message },
            Fault::BadResult(message) => FailureKind::BadResult { message },
        }
    }
}

/// The head of a frame to a worker: [`FRAME_HEADER`] bytes, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: FrameKind,
    /// Descriptors that were sent for it through the socket.
    pub handles: u16,
    /// Items in the payload.
    pub count: u32,
    /// Bytes of payload that follow.
    pub len: u64,
    /// The call, as [`procession_os::Call::to_raw`] gives it.
    pub call: (u64, u64),
    /// Context that the call needs; 0 is none.
    pub context: u64,
    /// Number of the first item in the lane.
    pub seq: u64,
    /// Number of the first item in its call.
    pub first: u64,
}

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    /// Run `call` for each item of the payload.
    Chunk = 1,
    /// Run `call` for one item: the whole payload.
    Single = 2,
    /// Keep the payload as context `context`.
    Context = 3,
    /// Drop context `context`.
    Forget = 4,
    /// Run `call`, the initializer, with the payload.
    Initialize = 5,
    /// Begin items again, from number `seq` on.
    Resume = 6,
    /// End with exit code 0.
    Stop = 7,
    /// Nothing: the second frame of a worker without an initializer.
    Begin = 8,
    /// The first frame: put the [`Confinement`](crate::confinement::Confinement) in the payload in force.
    Confine = 9,
}

pub(crate) const FRAME_HEADER: usize = 56;

impl Frame {
    /// A frame without payload, call or items.
    pub fn plain(kind: FrameKind) -> Frame {
        Frame { kind, handles: 0, count: 0, len: 0, call: (0, 0), context: 0, seq: 0, first: 0 }
    }

    pub fn to_bytes(self) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[..2].copy_from_slice(&(self.kind as u16).to_le_bytes());
        bytes[2..4].copy_from_slice(&self.handles.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        for (slot, word) in
            bytes[8..].chunks_exact_mut(8).zip([self.len, self.call.0, self.call.1, self.context, self.seq, self.first])
        {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub fn parse(bytes: &[u8]) -> Option<Frame> {
        let tiny = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let small = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let kind = match tiny(0)? {
            1 => FrameKind::Chunk,
            2 => FrameKind::Single,
            3 => FrameKind::Context,
            4 => FrameKind::Forget,
            5 => FrameKind::Initialize,
            6 => FrameKind::Resume,
            7 => FrameKind::Stop,
            8 => FrameKind::Begin,
            9 => FrameKind::Confine,
            _ => return None,
        };
        Some(Frame {
            kind,
            handles: tiny(2)?,
            count: small(4)?,
            len: word(8)?,
            call: (word(16)?, word(24)?),
            context: word(32)?,
            seq: word(40)?,
            first: word(48)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round<T: Serialize + DeserializeOwned + 'static>(value: T) -> T {
        let mut bytes = Vec::new();
        encode(value, &mut bytes).unwrap();
        decode(Bytes::Borrowed(&bytes)).unwrap()
    }

    proptest! {
        #[test]
        fn values_survive(a in any::<(u64, String, Vec<u8>, Option<i32>)>(), b in any::<Vec<u8>>(), f in any::<f64>()) {
            prop_assert_eq!(round(a.clone()), a);
            prop_assert_eq!(round(b.clone()), b);
            prop_assert_eq!(round(f).to_bits(), f.to_bits());
        }

        #[test]
        fn numbers_travel_as_they_are(n in any::<u64>(), i in any::<i128>(), f in any::<f32>(), b in any::<u8>()) {
            prop_assert_eq!((round(n), round(i), round(f).to_bits(), round(b)), (n, i, f.to_bits(), b));
            prop_assert_eq!((round(n as i16), round(n as i64), round(i as i8)), (n as i16, n as i64, i as i8));
            let mut bytes = Vec::new();
            encode(n, &mut bytes).unwrap();
            prop_assert_eq!(&bytes, &n.to_le_bytes());
            prop_assert!(decode::<u64>(Bytes::Borrowed(&bytes[1..])).is_err());
            prop_assert!(decode::<u32>(Bytes::Borrowed(&bytes)).is_err());
        }

        #[test]
        fn numbers_survive_and_any_bytes_parse(n in any::<u64>(), junk in any::<Vec<u8>>()) {
            let mut bytes = Vec::new();
            put_varint(n, &mut bytes);
            prop_assert_eq!(get_varint(&bytes), Some((n, bytes.len())));
            prop_assert_eq!(get_varint(&bytes[..bytes.len() - 1]), None);
            get_varint(&junk);
            next_item(&junk, 0);
            Frame::parse(&junk);
            let _ = decode::<(u64, Vec<String>)>(Bytes::Borrowed(&junk));
            let _ = decode::<Fault>(Bytes::Borrowed(&junk));
        }

        #[test]
        fn chunks_give_back_their_items(items in proptest::collection::vec(any::<Vec<u8>>(), 0..20), big in 120usize..140) {
            let mut items = items;
            items.push(vec![7; big]);
            let mut chunk = Vec::new();
            for item in &items {
                prop_assert!(append_item(item.clone(), &mut chunk, &mut Vec::new(), 1000).unwrap().is_none());
            }
            let (mut at, mut got) = (0, Vec::new());
            while let Some((start, end)) = next_item(&chunk, at) {
                got.push(chunk[start..end].to_vec());
                at = end;
            }
            prop_assert_eq!(at, chunk.len());
            prop_assert_eq!(got, items);
        }

        #[test]
        fn frames_survive(count in any::<u32>(), handles in any::<u16>(), words in any::<[u64; 6]>(), kind in 0u32..11) {
            let mut bytes = Frame {
                kind: FrameKind::Chunk, handles, count, len: words[0], call: (words[1], words[2]), context: words[3], seq: words[4], first: words[5],
            }.to_bytes();
            prop_assert_eq!(Frame::parse(&bytes).unwrap().to_bytes(), bytes);
            bytes[0] = kind as u8;
            prop_assert_eq!(Frame::parse(&bytes).is_some(), (1..10).contains(&kind));
        }
    }

    #[test]
    fn large_items_do_not_join_a_chunk() {
        let mut chunk = vec![9];
        assert_eq!(append_item(vec![7u8; 50], &mut chunk, &mut Vec::new(), 50).unwrap().unwrap().0, [7; 50]);
        assert_eq!(append_item("x".repeat(200), &mut chunk, &mut Vec::new(), 100).unwrap().unwrap().0.len(), 202);
        assert_eq!(chunk, [9]);
        assert!(append_item("x".repeat(200), &mut chunk, &mut Vec::new(), 1000).unwrap().is_none());
        assert_eq!((chunk.len(), next_item(&chunk, 1)), (1 + 2 + 202, Some((3, 205))));
    }

    #[test]
    fn large_vectors_move() {
        let bytes = vec![1u8; 1000];
        let at = bytes.as_ptr();
        let mut out = Vec::new();
        encode(bytes, &mut out).unwrap();
        let back: Vec<u8> = decode(Bytes::Owned(out)).unwrap();
        assert_eq!(back.as_ptr(), at);
    }

    #[test]
    fn left_over_bytes_are_an_error() {
        assert!(decode::<u8>(Bytes::Borrowed(&[1, 2])).is_err());
        assert!(decode::<u32>(Bytes::Borrowed(&[])).is_err());
    }

    #[test]
    fn overlong_numbers_are_no_small_ones() {
        assert_eq!(get_varint(&[0x80; 9]), None);
        assert_eq!(get_varint(&[0x80; 10]), Some((u64::MAX, 10)));
        assert_eq!(get_varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Some((u64::MAX, 10)));
    }
}
