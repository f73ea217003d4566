//! Writes rows as a file of their own, in parts: what stands behind the first one can stand behind other rows too.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::Schema;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::{Columnar, pack_schema, unpack_schema};

/// The begin of a file, and the schema of all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    pub schema: ByteBuf,
    pub begin: ByteBuf,
}

/// Some rows: with the begin of a file before them, and the end behind them, they are a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub rows: ByteBuf,
    pub end: ByteBuf,
}

impl Frame {
    /// The frame of files with this schema.
    ///
    /// # Errors
    /// When the format cannot hold a type of it.
    pub fn new(schema: &Schema, format: Columnar) -> Result<Frame, String> {
        let begin = match format {
            Columnar::Parquet => {
                parquet_writer(schema)?;
                b"PAR1".to_vec()
            }
            Columnar::Arrow => arrow_writer(schema)?.get_ref().clone(),
        };
        Ok(Frame { schema: pack_schema(schema), begin: ByteBuf::from(begin) })
    }

    /// The schema.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn schema(&self) -> Result<Arc<Schema>, String> {
        unpack_schema(&self.schema).map(Arc::new)
    }
}

fn parquet_writer(schema: &Schema) -> Result<ArrowWriter<Vec<u8>>, String> {
    let properties = WriterProperties::builder()
        // What every reader takes, and the default of most writers.
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("procession ", env!("CARGO_PKG_VERSION")).to_string())
        .set_max_row_group_row_count(None)
        // Indexes of pages would stand between the rows and the footer.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .build();
    let writer = ArrowWriter::try_new(Vec::new(), Arc::new(schema.clone()), Some(properties));
    writer.map_err(|error| error.to_string())
}

fn arrow_writer(schema: &Schema) -> Result<FileWriter<Vec<u8>>, String> {
    FileWriter::try_new(Vec::new(), schema).map_err(|error| error.to_string())
}

/// Writes batches: as one row group of Parquet, or as a record batch each.
///
/// # Errors
/// When the format cannot hold them.
pub fn write(frame: &Frame, format: Columnar, batches: &[RecordBatch]) -> Result<Piece, String> {
    let schema = frame.schema()?;
    let (mut file, end) = match format {
        Columnar::Parquet => {
            let mut writer = parquet_writer(&schema)?;
            for batch in batches {
                writer.write(batch).map_err(|error| error.to_string())?;
            }
            writer.flush().map_err(|error| error.to_string())?;
            let end = writer.bytes_written();
            (writer.into_inner().map_err(|error| error.to_string())?, end)
        }
        Columnar::Arrow => {
            let mut writer = arrow_writer(&schema)?;
            for batch in batches {
                writer.write(batch).map_err(|error| error.to_string())?;
            }
            let end = writer.get_ref().len();
            (writer.into_inner().map_err(|error| error.to_string())?, end)
        }
    };
    if end > file.len() || frame.begin.len() > end {
        return Err("the rows end nowhere".to_string());
    }
    let end = file.split_off(end);
    file.drain(..frame.begin.len());
    Ok(Piece { rows: ByteBuf::from(file), end: ByteBuf::from(end) })
}
