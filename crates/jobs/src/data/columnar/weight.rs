//! How large rows are when each value is written out, also those that many rows share; and batches cut by that.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ListLikeArray, RecordBatch, downcast_dictionary_array};
use arrow_schema::DataType;

/// A row with more is hardly meant: it would be in memory several times.
const MAX_ROW_BYTES: u64 = 512 << 20;
/// About what a number, an instant or a truth takes; and what stands around any other value.
const NUMBER_BYTES: u64 = 16;
const FRAME_BYTES: u64 = 4;

/// About the bytes of a value: all have as many, or each its own.
enum Weight<'a> {
    All(u64),
    Each(Box<dyn Fn(usize) -> u64 + 'a>),
}

impl Weight<'_> {
    fn of(&self, row: usize) -> u64 {
        match self {
            Weight::All(bytes) => *bytes,
            Weight::Each(bytes) => bytes(row),
        }
    }

    /// Of values that lie one behind the other; there can be billions that take no memory, so long as all are alike.
    fn of_all(&self, rows: Range<usize>) -> u64 {
        match self {
            Weight::All(bytes) => bytes.saturating_mul(rows.len() as u64),
            Weight::Each(bytes) => rows.map(bytes).fold(0, u64::saturating_add),
        }
    }
}

/// The rows of a batch in spans of about so many bytes, or of one row that has more.
///
/// # Errors
/// When a row is longer than any should be.
pub fn pieces(batch: &RecordBatch, max_bytes: u64) -> Result<Vec<Range<usize>>, String> {
    let columns: Vec<Weight<'_>> = batch.columns().iter().map(|column| weight(column.as_ref())).collect();
    let alike = columns.iter().map(|column| if let Weight::All(bytes) = column { *bytes } else { 0 });
    let alike = alike.fold(0, u64::saturating_add);
    let own: Vec<&Weight<'_>> = columns.iter().filter(|column| matches!(column, Weight::Each(_))).collect();
    let (mut found, mut begin, mut bytes) = (Vec::new(), 0, 0_u64);
    for row in 0..batch.num_rows() {
        let of_row = own.iter().fold(alike, |all, column| all.saturating_add(column.of(row)));
        if of_row > MAX_ROW_BYTES {
            return Err(format!(
                "one of its rows has more than {} MiB (--select leaves columns out)",
                MAX_ROW_BYTES >> 20
            ));
        }
        if begin < row && bytes.saturating_add(of_row) > max_bytes {
            found.push(begin..row);
            (begin, bytes) = (row, 0);
        }
        bytes += of_row;
    }
    if begin < batch.num_rows() {
        found.push(begin..batch.num_rows());
    }
    Ok(found)
}

fn weight(array: &dyn Array) -> Weight<'_> {
    match array.data_type() {
        DataType::Null => Weight::All(FRAME_BYTES),
        DataType::Utf8 => lengths(|row| array.as_string::<i32>().value_length(row).unsigned_abs().into()),
        DataType::LargeUtf8 => lengths(|row| array.as_string::<i64>().value_length(row).unsigned_abs()),
        DataType::Binary => lengths(|row| array.as_binary::<i32>().value_length(row).unsigned_abs().into()),
        DataType::LargeBinary => lengths(|row| array.as_binary::<i64>().value_length(row).unsigned_abs()),
        // The low half of the low half of a view is the length.
        DataType::Utf8View => lengths(|row| u64::from(array.as_string_view().views()[row] as u32)),
        DataType::BinaryView => lengths(|row| u64::from(array.as_binary_view().views()[row] as u32)),
        DataType::FixedSizeBinary(bytes) => Weight::All(u64::from(bytes.unsigned_abs()) + FRAME_BYTES),
        DataType::List(_) => items(array.as_list::<i32>()),
        DataType::LargeList(_) => items(array.as_list::<i64>()),
        DataType::ListView(_) => items(array.as_list_view::<i32>()),
        DataType::LargeListView(_) => items(array.as_list_view::<i64>()),
        DataType::Map(..) => {
            let maps = array.as_map();
            let entries = weight(maps.entries());
            Weight::Each(Box::new(move |row| {
                let offsets = maps.value_offsets();
                FRAME_BYTES.saturating_add(entries.of_all(offsets[row] as usize..offsets[row + 1] as usize))
            }))
        }
        DataType::FixedSizeList(..) => {
            let lists = array.as_fixed_size_list();
            match (weight(lists.values().as_ref()), lists.value_length() as usize) {
                (Weight::All(bytes), length) => Weight::All(bytes.saturating_mul(length as u64) + FRAME_BYTES),
                (each, length) => Weight::Each(Box::new(move |row| {
                    let begin = lists.value_offset_at(row);
                    FRAME_BYTES.saturating_add(each.of_all(begin..begin + length))
                })),
            }
        }
        DataType::Struct(fields) => {
            let members: Vec<Weight<'_>> = array.as_struct().columns().iter().map(|column| weight(column)).collect();
            let names = fields.iter().map(|field| field.name().len() as u64 + FRAME_BYTES).sum::<u64>() + FRAME_BYTES;
            match members.iter().any(|member| matches!(member, Weight::Each(_))) {
                true => Weight::Each(Box::new(move |row| {
                    members.iter().map(|member| member.of(row)).fold(names, u64::saturating_add)
                })),
                false => Weight::All(members.iter().map(|member| member.of(0)).fold(names, u64::saturating_add)),
            }
        }
        DataType::Dictionary(..) => downcast_dictionary_array!(
            array => match weight(array.values().as_ref()) {
                Weight::All(bytes) => Weight::All(bytes),
                each => Weight::Each(Box::new(move |row| array.key(row).map_or(FRAME_BYTES, |key| each.of(key)))),
            },
            _ => Weight::All(NUMBER_BYTES)
        ),
        _ => Weight::All(NUMBER_BYTES),
    }
}

fn lengths<'a>(length: impl Fn(usize) -> u64 + 'a) -> Weight<'a> {
    Weight::Each(Box::new(move |row| length(row) + FRAME_BYTES))
}

fn items<A: ListLikeArray>(lists: &A) -> Weight<'_> {
    let items = weight(lists.values().as_ref());
    Weight::Each(Box::new(move |row| FRAME_BYTES.saturating_add(items.of_all(lists.element_range(row)))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::*;
    use arrow_buffer::OffsetBuffer;
    use arrow_schema::Field;

    fn batch(columns: Vec<ArrayRef>) -> RecordBatch {
        RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(n, column)| (n.to_string(), column))).unwrap()
    }

    #[test]
    fn all_rows_are_in_pieces_that_are_small() {
        let long = "x".repeat(1000);
        let texts = || (0..100).map(|row| if row % 10 == 3 { long.as_str() } else { "" });
        let dictionary: DictionaryArray<Int32Type> = texts().collect();
        let strings = StringArray::from_iter_values(texts());
        let item = || Arc::new(Field::new_list_field(strings.data_type().clone(), true));
        let lists = ListArray::new(item(), OffsetBuffer::from_lengths([1; 100]), Arc::new(strings.clone()), None);
        let fixed = FixedSizeListArray::new(item(), 1, Arc::new(strings.clone()), None);
        let object = StructArray::from(vec![(item(), Arc::new(strings.clone()) as ArrayRef)]);
        let columns: [ArrayRef; 8] = [
            Arc::new(LargeBinaryArray::from_iter_values(texts())),
            Arc::new(StringViewArray::from_iter_values(texts())),
            Arc::new(BinaryViewArray::from_iter_values(texts())),
            Arc::new(dictionary),
            Arc::new(lists),
            Arc::new(fixed),
            Arc::new(object),
            Arc::new(strings),
        ];
        for column in columns {
            let shown = column.data_type().to_string();
            let all = batch(vec![column.clone(), Arc::new(Int64Array::from(vec![0; 100]))]);
            // A slice has the weights of its own rows.
            for (skip, rows, long_rows) in [(0, 100, 10), (13, 87, 9), (14, 9, 0)] {
                let found = pieces(&all.slice(skip, rows), 1200).unwrap();
                let ends: Vec<usize> = found.iter().map(|piece| piece.end).collect();
                let begins: Vec<usize> = found.iter().map(|piece| piece.start).collect();
                assert!(begins[0] == 0 && begins[1..] == ends[..ends.len() - 1] && ends[ends.len() - 1] == rows);
                let with_long = |piece: &&Range<usize>| Range::clone(piece).any(|row| (skip + row) % 10 == 3);
                assert_eq!(found.iter().filter(with_long).count(), long_rows, "{shown}: {found:?}");
            }
        }
        let numbers = batch(vec![Arc::new(Int64Array::from(vec![0; 100]))]);
        assert_eq!((pieces(&numbers, 1600).unwrap().len(), pieces(&numbers, 1599).unwrap().len()), (1, 2));
    }

    #[test]
    fn values_that_take_no_memory_have_a_weight() {
        let nulls = Arc::new(NullArray::new(1 << 30));
        let item = Arc::new(Field::new_list_field(DataType::Null, true));
        let fixed = FixedSizeListArray::new(item.clone(), 1 << 30, nulls.clone(), None);
        let lists = ListArray::new(item, OffsetBuffer::from_lengths([1 << 30]), nulls, None);
        let maps = {
            let names = Arc::new(StringArray::from(vec!["x".repeat(1 << 20)]));
            let names = Arc::new(DictionaryArray::<Int32Type>::new(vec![0; 1000].into(), names));
            let members = vec![
                (Arc::new(Field::new("key", names.data_type().clone(), false)), names as ArrayRef),
                (Arc::new(Field::new("value", DataType::Null, true)), Arc::new(NullArray::new(1000)) as ArrayRef),
            ];
            let entries = StructArray::from(members);
            let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            MapArray::new(field, OffsetBuffer::from_lengths([1000]), entries, None, false)
        };
        for column in [Arc::new(fixed) as ArrayRef, Arc::new(lists), Arc::new(maps)] {
            let error = pieces(&batch(vec![column]), 1 << 20).unwrap_err();
            assert!(error.contains("more than 512 MiB"), "{error}");
        }
    }
}
