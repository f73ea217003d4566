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
pub struct PieceWriter {
    begin_bytes: usize,
    kind: Kind,
}

enum Kind {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Arrow(Box<FileWriter<Vec<u8>>>),
}

impl PieceWriter {
    /// For rows of this frame.
    ///
    /// # Errors
    /// When the frame is damaged.
    pub fn new(frame: &Frame, format: Columnar) -> Result<PieceWriter, String> {
        let schema = frame.schema()?;
        let kind = match format {
            Columnar::Parquet => Kind::Parquet(Box::new(parquet_writer(&schema)?)),
            Columnar::Arrow => Kind::Arrow(Box::new(arrow_writer(&schema)?)),
        };
        Ok(PieceWriter { begin_bytes: frame.begin.len(), kind })
    }

    /// Writes a batch.
    ///
    /// # Errors
    /// When the format cannot hold it.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), String> {
        match &mut self.kind {
            Kind::Parquet(writer) => writer.write(batch).map_err(|error| error.to_string()),
            Kind::Arrow(writer) => writer.write(batch).map_err(|error| error.to_string()),
        }
    }

    /// About the bytes that it has become so far.
    pub fn bytes(&self) -> usize {
        match &self.kind {
            Kind::Parquet(writer) => writer.in_progress_size(),
            Kind::Arrow(writer) => writer.get_ref().len(),
        }
    }

    /// Ends the rows.
    ///
    /// # Errors
    /// When the format cannot hold them.
    pub fn finish(self) -> Result<Piece, String> {
        let (mut file, end) = match self.kind {
            Kind::Parquet(mut writer) => {
                writer.flush().map_err(|error| error.to_string())?;
                let end = writer.bytes_written();
                (writer.into_inner().map_err(|error| error.to_string())?, end)
            }
            Kind::Arrow(writer) => {
                let end = writer.get_ref().len();
                (writer.into_inner().map_err(|error| error.to_string())?, end)
            }
        };
        if end > file.len() || self.begin_bytes > end {
            return Err("the rows end nowhere".to_string());
        }
        let end = file.split_off(end);
        file.drain(..self.begin_bytes);
        Ok(Piece { rows: ByteBuf::from(file), end: ByteBuf::from(end) })
    }
}
