//! Cuts a piece down to its first rows.

use arrow_array::RecordBatch;
use arrow_ipc::reader::FileReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Columnar;
use super::piece::{Frame, Piece, write};

/// The first rows of a piece, as a piece of their own.
///
/// # Errors
/// When the piece is none.
pub fn cut((frame, format, piece, rows): (Frame, Columnar, Piece, u64)) -> Result<Piece, String> {
    let file = [&frame.begin[..], &piece.rows[..], &piece.end[..]].concat();
    let wanted = usize::try_from(rows).unwrap_or(usize::MAX);
    let mut left = wanted;
    let mut batches = Vec::new();
    let mut add = |batch: RecordBatch| {
        let length = batch.num_rows().min(left);
        left -= length;
        batches.push(batch.slice(0, length));
    };
    match format {
        Columnar::Parquet => {
            let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file));
            let reader =
                reader.and_then(|reader| reader.with_limit(wanted).build()).map_err(|error| error.to_string())?;
            for batch in reader {
                add(batch.map_err(|error| error.to_string())?);
            }
        }
        Columnar::Arrow => {
            let reader = FileReader::try_new(std::io::Cursor::new(file), None).map_err(|error| error.to_string())?;
            for batch in reader {
                add(batch.map_err(|error| error.to_string())?);
            }
        }
    }
    batches.retain(|batch| batch.num_rows() > 0);
    write(&frame, format, &batches)
}
