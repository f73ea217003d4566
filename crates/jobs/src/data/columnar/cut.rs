//! Cuts a piece down to its first rows.

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::parquet_file::with_views;
use super::piece::{Frame, Piece, PieceWriter};
use super::plain::plain;
use super::weight::pieces;
use super::{BATCH_BYTES, Columnar};

/// The first rows of a piece, as a piece of their own.
///
/// # Errors
/// When the piece is none.
pub fn cut((frame, format, piece, rows): (Frame, Columnar, Piece, u64)) -> Result<Piece, String> {
    let file = [&frame.begin[..], &piece.rows[..], &piece.end[..]].concat();
    drop(piece);
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let schema = frame.schema()?;
    let mut writer = PieceWriter::new(&frame, format)?;
    let mut left = wanted;
    let mut add = |batch: RecordBatch| -> Result<(), String> {
        let batch = batch.slice(0, batch.num_rows().min(left));
        left -= batch.num_rows();
        for rows in pieces(&batch, BATCH_BYTES)? {
            let batch = batch.slice(rows.start, rows.len());
            let columns = batch.columns().iter().zip(schema.fields());
            let columns = columns.map(|(column, field)| plain(column, field.data_type())).collect::<Result<_, _>>()?;
            let batch = RecordBatch::try_new(schema.clone(), columns).map_err(|error| error.to_string())?;
            writer.add(&batch)?;
        }
        Ok(())
    };
    match format {
        Columnar::Parquet => {
            let file = bytes::Bytes::from(file);
            let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
            let metadata = with_views(metadata.map_err(|error| error.to_string())?);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata).with_limit(wanted);
            for batch in reader.build().map_err(|error| error.to_string())? {
                add(batch.map_err(|error| error.to_string())?)?;
            }
        }
        Columnar::Arrow => {
            let reader = FileReader::try_new(std::io::Cursor::new(file), None).map_err(|error| error.to_string())?;
            for batch in reader {
                add(batch.map_err(|error| error.to_string())?)?;
            }
        }
    }
    writer.finish()
}
