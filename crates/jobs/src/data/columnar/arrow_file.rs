//! Reads the file format of Arrow IPC: what its footer says, and some rows of a record batch.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, Footer, MessageHeader, RecordBatch as Header, root_as_footer, root_as_message};
use arrow_schema::Schema;

use super::Span;
use super::guard::guarded;
use super::shape::Group;
use crate::regular::Regular;

const MAGIC: &[u8] = b"ARROW1";
/// A longer footer, or a record batch with more bytes, is hardly one.
const MAX_FOOTER_BYTES: u64 = 256 << 20;
const MAX_BLOCK_BYTES: u64 = 1 << 30;

/// What the footer of a file says.
///
/// # Errors
/// When it has none.
pub fn look(mut file: Regular) -> Result<(Schema, Vec<Group>), String> {
    let bytes = footer_bytes(&mut file)?;
    let footer = root_as_footer(&bytes).map_err(damaged)?;
    let schema = schema(&footer)?;
    // About what the values of dictionaries are in each row.
    let mut shared = 0.0;
    for block in footer.dictionaries().iter().flatten() {
        let meta = block_bytes(&mut file, block, true)?;
        let values = message(&meta)?.header_as_dictionary_batch().and_then(|batch| batch.data());
        shared += block.bodyLength().max(0) as f64 / values.map_or(1, |values| values.length().max(1)) as f64;
    }
    let mut groups = Vec::new();
    for block in footer.recordBatches().iter().flatten() {
        let meta = block_bytes(&mut file, block, true)?;
        let (rows, bytes) = (header(&meta)?.length(), block.bodyLength().unsigned_abs());
        let rows = u64::try_from(rows).map_err(|_| "a record batch has less than no rows".to_string())?;
        groups.push(Group { rows, bytes, memory_bytes: bytes, value_bytes: (rows as f64 * shared) as u64 });
    }
    Ok((schema, groups))
}

/// Reads some rows of a record batch, as [`super::read`] says.
pub fn read(
    mut file: Regular,
    span: Span,
    names: &HashSet<String>,
    batch_rows: usize,
    each: &mut dyn FnMut(&RecordBatch) -> Result<bool, String>,
) -> Result<(), String> {
    let bytes = footer_bytes(&mut file)?;
    let footer = root_as_footer(&bytes).map_err(damaged)?;
    let blocks = footer.recordBatches().filter(|blocks| blocks.len() > span.group as usize);
    let block = blocks.ok_or("it has fewer record batches than before")?.get(span.group as usize);
    let schema = schema(&footer)?;
    let fields = schema.fields().iter().enumerate();
    let wanted: Vec<usize> = fields.filter(|(_, field)| names.contains(field.name())).map(|(n, _)| n).collect();
    let mut decoder = FileDecoder::new(Arc::new(schema), footer.version()).with_projection(wanted);
    for dictionary in footer.dictionaries().iter().flatten() {
        let bytes = block_bytes(&mut file, dictionary, false)?;
        let message = message(&bytes)?;
        let batch = message.header_as_dictionary_batch().and_then(|batch| batch.data());
        check_buffers(&batch.ok_or("a dictionary is none")?, &bytes, dictionary)?;
        guarded(|| decoder.read_dictionary(dictionary, &bytes))?.map_err(damaged)?;
    }
    let bytes = block_bytes(&mut file, block, false)?;
    check_buffers(&header(&bytes)?, &bytes, block)?;
    let batch = guarded(|| decoder.read_record_batch(block, &bytes))?.map_err(damaged)?;
    let batch = batch.ok_or("a record batch is empty")?;
    let rows = batch.num_rows() as u64;
    let Some(end) = span.skip.checked_add(span.rows).filter(|end| *end <= rows) else {
        return Err("a record batch has fewer rows than before".to_string());
    };
    let mut at = span.skip as usize;
    while at < end as usize {
        let length = batch_rows.min(end as usize - at);
        if !each(&batch.slice(at, length))? {
            break;
        }
        at += length;
    }
    Ok(())
}

fn damaged(error: impl std::fmt::Display) -> String {
    format!("it is damaged: {error}")
}

fn footer_bytes(file: &mut Regular) -> Result<Vec<u8>, String> {
    let bytes = file.left();
    let mut first = [0; 6];
    let unread = |cause: std::io::Error| crate::describe(&cause);
    if file.read_head(&mut first).map_err(unread)? < first.len() || first != MAGIC {
        return Err(match &first[..4] {
            b"FEA1" => "it is of the first version of Feather, which Arrow gave up".to_string(),
            b"\xff\xff\xff\xff" => "it is a stream of Arrow IPC; only its file format is read".to_string(),
            _ => "it does not begin as a file of Arrow IPC does".to_string(),
        });
    }
    let mut tail = [0; 10];
    file.seek(bytes.saturating_sub(10)).map_err(unread)?;
    let is_whole = file.read_exact(&mut tail).is_ok() && tail[4..] == *MAGIC;
    let [a, b, c, d, ..] = tail;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if !is_whole || length > MAX_FOOTER_BYTES || length + 20 > bytes {
        return Err("it does not end as a file of Arrow IPC does".to_string());
    }
    read_at(file, bytes - 10 - length, length)
}

fn schema(footer: &Footer<'_>) -> Result<Schema, String> {
    let schema = footer.schema().ok_or("it has no schema")?;
    if !schema.endianness().equals_to_target_endianness() {
        return Err("its numbers are of the other byte order".to_string());
    }
    guarded(|| try_fb_to_schema(schema))?.map_err(damaged)
}

/// The bytes of a block, or only those that describe it.
fn block_bytes(file: &mut Regular, block: &Block, only_meta: bool) -> Result<Buffer, String> {
    let numbers =
        (u64::try_from(block.offset()), u64::try_from(block.metaDataLength()), u64::try_from(block.bodyLength()));
    let (Ok(offset), Ok(meta), Ok(body)) = numbers else { return Err(damaged("a block with a length below 0")) };
    let body = if only_meta { 0 } else { body };
    let length = meta.checked_add(body).filter(|length| *length <= MAX_BLOCK_BYTES);
    let length = length.ok_or_else(|| format!("a record batch has more than {} MiB", MAX_BLOCK_BYTES >> 20))?;
    file.seek(0).map_err(|cause| crate::describe(&cause))?;
    if offset.checked_add(length).is_none_or(|end| end > file.left()) {
        return Err(damaged("a block lies behind the end"));
    }
    read_at(file, offset, length).map(Buffer::from_vec)
}

fn read_at(file: &mut Regular, at: u64, length: u64) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; length as usize];
    let read = file.seek(at).and_then(|()| file.read_exact(&mut bytes));
    read.map_err(|cause| crate::describe(&cause))?;
    Ok(bytes)
}

fn message(block: &[u8]) -> Result<arrow_ipc::Message<'_>, String> {
    let begin = if block.starts_with(&[0xff; 4]) { 8 } else { 4 };
    root_as_message(block.get(begin..).unwrap_or_default()).map_err(damaged)
}

fn header(block: &[u8]) -> Result<Header<'_>, String> {
    let message = message(block)?;
    let header = message.header_as_record_batch().filter(|_| message.header_type() == MessageHeader::RecordBatch);
    header.ok_or_else(|| damaged("a block is no record batch"))
}

/// Checks that all buffers lie within the block, and what compressed ones say of their size: memory is taken for that before
/// they are decompressed.
fn check_buffers(batch: &Header<'_>, block: &[u8], place: &Block) -> Result<(), String> {
    let body = block.get(place.metaDataLength() as usize..).unwrap_or_default();
    let mut all: u64 = 0;
    for buffer in batch.buffers().iter().flatten() {
        let (offset, length) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let bytes = offset.ok().zip(length.ok()).and_then(|(offset, length)| body.get(offset..)?.get(..length));
        let bytes = bytes.ok_or_else(|| damaged("a buffer lies behind the end"))?;
        if batch.compression().is_none() || bytes.is_empty() {
            continue;
        }
        let size = i64::from_le_bytes(*bytes.first_chunk().ok_or_else(|| damaged("a buffer has no size"))?);
        // -1 says that it is not compressed.
        all = all.saturating_add(if size == -1 { 0 } else { u64::try_from(size).unwrap_or(u64::MAX) });
    }
    if all > MAX_BLOCK_BYTES {
        return Err(format!("a record batch has more than {} MiB", MAX_BLOCK_BYTES >> 20));
    }
    Ok(())
}
