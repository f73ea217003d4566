//! Reads Parquet: what its footer says, and some rows of a row group.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, FieldRef, Fields, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask};
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::serialized_reader::SerializedPageReader;

use super::Span;
use super::guard::guarded;
use super::plain::viewed;
use super::shape::Group;
use crate::regular::Regular;

/// A longer footer is hardly one.
const MAX_FOOTER_BYTES: u32 = 256 << 20;

/// What the footer of a file says.
///
/// # Errors
/// When it has none.
pub fn look(file: Regular) -> Result<(Schema, Vec<Group>), String> {
    let file = Arc::new(file.into_file());
    let metadata = load(&file)?;
    let mut dictionaries = Dictionaries { file, lengths: HashMap::new() };
    let mut groups = Vec::new();
    for group in metadata.metadata().row_groups() {
        let number = |number: i64| u64::try_from(number).map_err(|_| "a row group has less than no rows".to_string());
        let sizes = group.columns().iter().map(|column| column.compressed_size().unsigned_abs());
        let (bytes, memory_bytes) = (sizes.fold(0, u64::saturating_add), number(group.total_byte_size())?);
        let value_bytes = dictionaries.value_bytes(group);
        groups.push(Group { rows: number(group.num_rows())?, bytes, memory_bytes, value_bytes });
    }
    Ok((metadata.schema().as_ref().clone(), groups))
}

/// What is known of dictionaries: a chunk of a column has each of its texts once, however many rows have it.
struct Dictionaries {
    file: Arc<std::fs::File>,
    /// The mean length of the texts of each column, in the first group where that had to be looked up.
    lengths: HashMap<usize, f64>,
}

impl Dictionaries {
    /// About what the texts of a group are, written out: as its writer says (`SizeStatistics`), or by the first dictionary.
    fn value_bytes(&mut self, group: &RowGroupMetaData) -> u64 {
        let mut all: u64 = 0;
        for (n, column) in group.columns().iter().enumerate() {
            if column.column_type() != Type::BYTE_ARRAY {
                continue;
            }
            let bytes = match column.unencoded_byte_array_data_bytes() {
                Some(bytes) => u64::try_from(bytes).unwrap_or(u64::MAX),
                None if column.dictionary_page_offset().is_none() => continue,
                None => {
                    let mean = *self.lengths.entry(n).or_insert_with(|| {
                        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
                        mean_length(&self.file, column, rows).unwrap_or(0.0)
                    });
                    (column.num_values().max(0) as f64 * mean) as u64
                }
            };
            all = all.saturating_add(bytes);
        }
        all
    }
}

/// The mean length of the texts in the dictionary of a chunk. What is wrong with it is told when its rows are read.
fn mean_length(file: &Arc<std::fs::File>, column: &ColumnChunkMetaData, rows: usize) -> Option<f64> {
    let page = guarded(|| {
        let mut pages = SerializedPageReader::new(Arc::clone(file), column, rows, None).ok()?;
        pages.get_next_page().ok().flatten()
    });
    match page.ok().flatten()? {
        Page::DictionaryPage { buf, num_values, .. } => Some(buf.len() as f64 / f64::from(num_values.max(1))),
        _ => None,
    }
}

/// The same file with its texts as views, so that a batch has each text of a dictionary once.
pub fn with_views(metadata: ArrowReaderMetadata) -> ArrowReaderMetadata {
    let options = ArrowReaderOptions::new().with_schema(Arc::new(viewed(metadata.schema())));
    let views = guarded(|| ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options));
    // What types the library does not read as views, nobody has said.
    views.ok().and_then(Result::ok).unwrap_or(metadata)
}

fn load(file: &std::fs::File) -> Result<ArrowReaderMetadata, String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut tail = [0; 8];
    let mut at_end = file;
    let is_read = at_end.seek(SeekFrom::End(-8)).and_then(|_| at_end.read_exact(&mut tail)).is_ok();
    let [length @ .., b'P', b'A', b'R', b'1'] = tail else {
        return Err(match &tail[4..] {
            b"PARE" => "its footer is encrypted".to_string(),
            _ => "it does not end as Parquet does".to_string(),
        });
    };
    if !is_read || u32::from_le_bytes(length) > MAX_FOOTER_BYTES {
        return Err(format!("its footer is longer than {} MiB", MAX_FOOTER_BYTES >> 20));
    }
    let load = |options| guarded(|| ArrowReaderMetadata::load(file, options))?.map_err(|error| error.to_string());
    let metadata = load(ArrowReaderOptions::new())?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    if !pairs.is_some_and(|pairs| pairs.iter().any(|pair| pair.key == ARROW_SCHEMA_META_KEY)) {
        return Ok(metadata);
    }
    // The library believes it when it calls bytes a text, and looks at none of them.
    let own = load(ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
    let is_believed = same_texts(metadata.schema().fields(), own.schema().fields());
    Ok(if is_believed { metadata } else { own })
}

/// Whether columns are texts in one schema of a file if they are in another.
fn same_texts(fields: &Fields, others: &Fields) -> bool {
    let same = |(field, other): (&FieldRef, &FieldRef)| is_text_in_both(field.data_type(), other.data_type());
    fields.len() == others.len() && fields.iter().zip(others).all(same)
}

fn is_text_in_both(known: &DataType, other: &DataType) -> bool {
    use DataType::{
        Dictionary, FixedSizeList, LargeList, LargeListView, LargeUtf8, List, ListView, Map, Struct, Utf8, Utf8View,
    };
    match (known, other) {
        (Dictionary(_, values), _) => is_text_in_both(values, other),
        (Utf8 | LargeUtf8 | Utf8View, _) => matches!(other, Utf8 | LargeUtf8 | Utf8View),
        (
            List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) | Map(item, _),
            List(other) | Map(other, _),
        ) => is_text_in_both(item.data_type(), other.data_type()),
        (Struct(members), Struct(others)) => same_texts(members, others),
        // Nothing else has texts within.
        _ => !known.is_nested(),
    }
}

/// Reads some rows of a row group, as [`super::read`] says.
pub fn read(
    file: Regular,
    span: Span,
    names: &HashSet<String>,
    batch_rows: usize,
    each: &mut dyn FnMut(&RecordBatch) -> Result<bool, String>,
) -> Result<(), String> {
    let file = file.into_file();
    let metadata = with_views(load(&file)?);
    let Some(group) = metadata.metadata().row_groups().get(span.group as usize) else {
        return Err("it has fewer row groups than before".to_string());
    };
    if span.skip.checked_add(span.rows).is_none_or(|end| i64::try_from(end).map_or(true, |end| end > group.num_rows()))
    {
        return Err("a row group has fewer rows than before".to_string());
    }
    let roots = metadata.parquet_schema().root_schema().get_fields().iter().enumerate();
    let wanted: Vec<usize> = roots.filter(|(_, root)| names.contains(root.name())).map(|(n, _)| n).collect();
    let mask = ProjectionMask::roots(metadata.parquet_schema(), wanted);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_row_groups(vec![span.group as usize])
        .with_projection(mask)
        .with_batch_size(batch_rows)
        .with_offset(span.skip as usize)
        .with_limit(span.rows as usize);
    let mut reader = guarded(|| builder.build())?.map_err(|error| error.to_string())?;
    let mut rows = 0;
    while let Some(batch) = guarded(|| reader.next())? {
        let batch = batch.map_err(|error| error.to_string())?;
        rows += batch.num_rows() as u64;
        if !each(&batch)? {
            return Ok(());
        }
    }
    if rows == span.rows { Ok(()) } else { Err("a row group has fewer rows than its footer says".to_string()) }
}
