//! Makes the end of a file out of the ends of its pieces.

use arrow_ipc::convert::IpcSchemaEncoder;
use arrow_ipc::{Block, FooterBuilder, MetadataVersion, root_as_footer};
use flatbuffers::FlatBufferBuilder;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter, RowGroupMetaData,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::piece::{Frame, PieceWriter};
use super::{Columnar, unpack_schema};

/// The pieces of a file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Join {
    pub frame: Frame,
    pub format: Columnar,
    /// The end of each piece, and how much further behind its rows begin than they would on their own.
    pub ends: Vec<(ByteBuf, u64)>,
}

/// The end of the whole file.
///
/// # Errors
/// When the end of a piece is none.
pub fn join(join: Join) -> Result<ByteBuf, String> {
    // A file without rows has what stands behind all rows, too.
    let empty = PieceWriter::new(&join.frame, join.format)?.finish()?.end;
    if join.ends.is_empty() {
        return Ok(empty);
    }
    let end = match join.format {
        Columnar::Parquet => parquet(&empty, &join.ends),
        Columnar::Arrow => arrow(&join.frame, &join.ends),
    };
    end.map(ByteBuf::from)
}

fn parquet(empty: &[u8], ends: &[(ByteBuf, u64)]) -> Result<Vec<u8>, String> {
    let failed = |error: parquet::errors::ParquetError| error.to_string();
    let read = |end: &[u8]| {
        let metadata = end.get(..end.len().saturating_sub(8)).unwrap_or_default();
        ParquetMetaDataReader::decode_metadata(metadata).map_err(failed)
    };
    let file = read(empty)?;
    let file = file.file_metadata();
    let (mut groups, mut rows) = (Vec::new(), 0_i64);
    for (end, shift) in ends {
        let shift = i64::try_from(*shift).map_err(|error| error.to_string())?;
        for group in read(end)?.row_groups() {
            let ordinal = i32::try_from(groups.len()).map_err(|_| "there are too many row groups".to_string())?;
            rows = rows.saturating_add(group.num_rows());
            groups.push(shifted_group(group, shift, ordinal).map_err(failed)?);
        }
    }
    let file = FileMetaData::new(
        file.version(),
        rows,
        file.created_by().map(str::to_string),
        file.key_value_metadata().cloned(),
        file.schema_descr_ptr(),
        file.column_orders().cloned(),
    );
    let metadata = ParquetMetaData::new(file, groups);
    let mut out = Vec::new();
    ParquetMetaDataWriter::new(&mut out, &metadata).finish().map_err(failed)?;
    Ok(out)
}

fn shifted_group(
    group: &RowGroupMetaData,
    shift: i64,
    ordinal: i32,
) -> Result<RowGroupMetaData, parquet::errors::ParquetError> {
    let column = |column: &ColumnChunkMetaData| {
        let moved = |offset: i64| offset.saturating_add(shift);
        column
            .clone()
            .into_builder()
            .set_data_page_offset(moved(column.data_page_offset()))
            .set_dictionary_page_offset(column.dictionary_page_offset().map(moved))
            .build()
    };
    let columns = group.columns().iter().map(column).collect::<Result<_, _>>()?;
    let mut builder = group.clone().into_builder().set_column_metadata(columns).set_ordinal(ordinal);
    if let Some(offset) = group.file_offset() {
        builder = builder.set_file_offset(offset.saturating_add(shift));
    }
    builder.build()
}

fn arrow(frame: &Frame, ends: &[(ByteBuf, u64)]) -> Result<Vec<u8>, String> {
    let (mut blocks, mut version) = (Vec::new(), MetadataVersion::V5);
    for (end, shift) in ends {
        let shift = i64::try_from(*shift).map_err(|error| error.to_string())?;
        let footer = arrow_footer(end).and_then(|bytes| root_as_footer(bytes).ok());
        let footer = footer.ok_or("the end of a piece is damaged")?;
        version = footer.version();
        for block in footer.recordBatches().iter().flatten() {
            let offset = block.offset().saturating_add(shift);
            blocks.push(Block::new(offset, block.metaDataLength(), block.bodyLength()));
        }
    }
    let mut builder = FlatBufferBuilder::new();
    let batches = builder.create_vector(&blocks);
    let dictionaries = builder.create_vector::<Block>(&[]);
    let schema = IpcSchemaEncoder::new().schema_to_fb_offset(&mut builder, &unpack_schema(&frame.schema)?);
    let mut footer = FooterBuilder::new(&mut builder);
    footer.add_version(version);
    footer.add_schema(schema);
    footer.add_dictionaries(dictionaries);
    footer.add_recordBatches(batches);
    let footer = footer.finish();
    builder.finish(footer, None);
    let footer = builder.finished_data();
    let length = i32::try_from(footer.len()).map_err(|_| "its footer would be too long".to_string())?;
    // The end of the stream of messages, the footer, and the end of the file.
    let mut out = [[0xff; 4], [0; 4]].concat();
    out.extend_from_slice(footer);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(b"ARROW1");
    Ok(out)
}

/// The footer in the end of a piece.
fn arrow_footer(end: &[u8]) -> Option<&[u8]> {
    let (rest, _magic) = end.split_at_checked(end.len().checked_sub(6)?)?;
    let (rest, length) = rest.split_last_chunk()?;
    rest.get(rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?..)
}
