//! Texts and bytes where a column has them once and many rows share them: as views they are read, and a dictionary has them,
//! too. What is written has them one behind the other.

use std::sync::Arc;

use arrow_array::builder::{GenericByteBuilder, GenericByteViewBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{BinaryViewType, ByteArrayType, ByteViewType, StringViewType};
use arrow_array::{
    Array, ArrayAccessor, ArrayRef, FixedSizeListArray, GenericByteViewArray, GenericListArray, MapArray,
    OffsetSizeTrait, StructArray,
};
use arrow_buffer::{ArrowNativeType, OffsetBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, FieldRef, Fields, Schema};
use arrow_select::take::take;

/// The same schema with views in the place of texts and bytes, and of columns that are dictionaries of those.
pub fn viewed(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) => {
            let spread = Arc::new(Field::clone(field).with_data_type(DataType::clone(values)));
            let views = viewed_field(&spread);
            if views == spread { Arc::clone(field) } else { views }
        }
        _ => viewed_field(field),
    });
    Schema::new_with_metadata(fields.collect::<Fields>(), schema.metadata().clone())
}

fn viewed_field(field: &FieldRef) -> FieldRef {
    let known = field.data_type();
    let wanted = match known {
        DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::List(item) => DataType::List(viewed_field(item)),
        DataType::LargeList(item) => DataType::LargeList(viewed_field(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(viewed_field(item), *length),
        DataType::Map(entries, is_sorted) => DataType::Map(viewed_field(entries), *is_sorted),
        DataType::Struct(members) => DataType::Struct(members.iter().map(viewed_field).collect()),
        _ => return Arc::clone(field),
    };
    if wanted == *known { Arc::clone(field) } else { Arc::new(Field::clone(field).with_data_type(wanted)) }
}

/// The column as one of this type: without what views and lists have besides its rows, and without a dictionary around it.
///
/// # Errors
/// When it is of another type, or has too much for one.
pub fn plain(column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, String> {
    let failed = |error: ArrowError| error.to_string();
    if let Some(dictionary) = column.as_any_dictionary_opt().filter(|_| !matches!(wanted, DataType::Dictionary(..))) {
        return plain(&take(dictionary.values(), dictionary.keys(), None).map_err(failed)?, wanted);
    }
    Ok(match (column.data_type(), wanted) {
        (DataType::Utf8View, DataType::Utf8) => written::<_, arrow_array::types::Utf8Type>(column.as_string_view())?,
        (DataType::Utf8View, DataType::LargeUtf8) => {
            written::<_, arrow_array::types::LargeUtf8Type>(column.as_string_view())?
        }
        (DataType::BinaryView, DataType::Binary) => {
            written::<_, arrow_array::types::BinaryType>(column.as_binary_view())?
        }
        (DataType::BinaryView, DataType::LargeBinary) => {
            written::<_, arrow_array::types::LargeBinaryType>(column.as_binary_view())?
        }
        (DataType::Utf8View, DataType::Utf8View) => own::<StringViewType>(column.as_string_view()),
        (DataType::BinaryView, DataType::BinaryView) => own::<BinaryViewType>(column.as_binary_view()),
        (DataType::List(_), DataType::List(item)) => list(column.as_list::<i32>(), item)?,
        (DataType::LargeList(_), DataType::LargeList(item)) => list(column.as_list::<i64>(), item)?,
        (DataType::FixedSizeList(..), DataType::FixedSizeList(item, length)) => {
            let lists = column.as_fixed_size_list();
            let values = plain(lists.values(), item.data_type())?;
            let (nulls, rows) = (lists.nulls().cloned(), lists.len());
            let made = FixedSizeListArray::try_new_with_length(Arc::clone(item), *length, values, nulls, rows);
            Arc::new(made.map_err(failed)?)
        }
        (DataType::Map(..), DataType::Map(entries, is_sorted)) => {
            let maps = column.as_map();
            let (offsets, begin, length) = from_zero(maps.offsets());
            let inner: ArrayRef = Arc::new(maps.entries().slice(begin, length));
            let inner = plain(&inner, entries.data_type())?.as_struct().clone();
            let made = MapArray::try_new(Arc::clone(entries), offsets, inner, maps.nulls().cloned(), *is_sorted);
            Arc::new(made.map_err(failed)?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let object = column.as_struct();
            let members = object.columns().iter().zip(fields);
            let members = members.map(|(member, field)| plain(member, field.data_type())).collect::<Result<_, _>>()?;
            let (nulls, rows) = (object.nulls().cloned(), object.len());
            Arc::new(StructArray::try_new_with_length(fields.clone(), members, nulls, rows).map_err(failed)?)
        }
        _ => Arc::clone(column),
    })
}

/// Texts or bytes one behind the other.
fn written<'a, V, W>(views: &'a GenericByteViewArray<V>) -> Result<ArrayRef, String>
where
    V: ByteViewType,
    W: ByteArrayType<Native = V::Native>,
    &'a GenericByteViewArray<V>: ArrayAccessor<Item = &'a V::Native>,
{
    // What is null may have a length.
    let rows = || (0..views.len()).map(|row| views.is_valid(row).then(|| views.value(row)));
    let bytes = rows().flatten().map(|value| AsRef::<[u8]>::as_ref(value).len()).fold(0, usize::saturating_add);
    if W::Offset::from_usize(bytes).is_none() {
        return Err("some of its rows have more than a column of texts can".to_string());
    }
    let mut values = GenericByteBuilder::<W>::with_capacity(views.len(), bytes);
    rows().for_each(|value| values.append_option(value));
    Ok(Arc::new(values.finish()))
}

/// Views with nothing that other rows refer to.
fn own<V: ByteViewType>(views: &GenericByteViewArray<V>) -> ArrayRef {
    let mut values = GenericByteViewBuilder::<V>::new();
    views.iter().for_each(|value| values.append_option(value));
    Arc::new(values.finish())
}

fn list<O: OffsetSizeTrait>(lists: &GenericListArray<O>, item: &FieldRef) -> Result<ArrayRef, String> {
    let (offsets, begin, length) = from_zero(lists.offsets());
    let values = plain(&lists.values().slice(begin, length), item.data_type())?;
    let made = GenericListArray::try_new(Arc::clone(item), offsets, values, lists.nulls().cloned());
    made.map(|made| Arc::new(made) as ArrayRef).map_err(|error| error.to_string())
}

/// Offsets for the items that they refer to, and where those begin and how many they are.
fn from_zero<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> (OffsetBuffer<O>, usize, usize) {
    let (begin, end) = (offsets[0], offsets[offsets.len() - 1]);
    let moved: ScalarBuffer<O> = offsets.iter().map(|offset| *offset - begin).collect();
    (OffsetBuffer::new(moved), begin.as_usize(), (end - begin).as_usize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::builder::*;
    use arrow_array::types::Int32Type;
    use arrow_array::*;

    fn names() -> [Option<&'static str>; 4] {
        [Some("short"), None, Some("a text that is longer than twelve"), Some("")]
    }

    /// Columns of views, and what they are without.
    fn columns() -> Vec<(ArrayRef, ArrayRef)> {
        fn nested<S: ArrayBuilder>(new: fn() -> S, add: fn(&mut S, Option<&str>)) -> Vec<ArrayRef> {
            let mut lists = ListBuilder::new(new());
            let mut large = LargeListBuilder::new(new());
            let mut fixed = FixedSizeListBuilder::new(new(), 2);
            let mut maps = MapBuilder::new(None, Int32Builder::new(), new());
            for (row, name) in names().into_iter().enumerate() {
                for item in 0..row {
                    add(lists.values(), name);
                    add(large.values(), names()[item]);
                    maps.keys().append_value(item as i32);
                    add(maps.values(), name);
                }
                add(fixed.values(), name);
                add(fixed.values(), None);
                lists.append(row != 1);
                large.append(true);
                fixed.append(row != 2);
                maps.append(row != 3).unwrap();
            }
            vec![Arc::new(lists.finish()), Arc::new(large.finish()), Arc::new(fixed.finish()), Arc::new(maps.finish())]
        }
        let views = nested(StringViewBuilder::new, |values, name| values.append_option(name));
        let texts = nested(StringBuilder::new, |values, name| values.append_option(name));
        let mut found: Vec<(ArrayRef, ArrayRef)> = views.into_iter().zip(texts).collect();
        let object = |column: &ArrayRef| -> ArrayRef {
            let field = Field::new("of", column.data_type().clone(), true);
            Arc::new(StructArray::from(vec![(Arc::new(field), column.clone())]))
        };
        found.push((object(&found[0].0), object(&found[0].1)));
        let (bytes, texts) = (|| names().map(|name| name.map(str::as_bytes)), || names().into_iter());
        let words: DictionaryArray<Int32Type> = names().into_iter().collect();
        let view: StringViewArray = texts().collect();
        let byte_view = || Arc::new(BinaryViewArray::from_iter(bytes()));
        found.push((Arc::new(view.clone()), Arc::new(StringArray::from_iter(texts()))));
        found.push((Arc::new(view.clone()), Arc::new(LargeStringArray::from_iter(texts()))));
        found.push((Arc::new(view.clone()), Arc::new(view)));
        found.push((byte_view(), Arc::new(BinaryArray::from_iter(bytes()))));
        found.push((byte_view(), Arc::new(LargeBinaryArray::from_iter(bytes()))));
        found.push((byte_view(), byte_view()));
        found.push((Arc::new(words), Arc::new(StringArray::from_iter(texts()))));
        found
    }

    #[test]
    fn views_lists_and_dictionaries_become_what_is_written() {
        for (column, wanted) in columns() {
            let known = wanted.data_type();
            for (skip, rows) in [(0, 4), (1, 3), (2, 1), (4, 0)] {
                let made = plain(&column.slice(skip, rows), known).unwrap();
                assert_eq!(&made, &wanted.slice(skip, rows), "{known}");
            }
        }
    }

    #[test]
    fn nothing_of_other_rows_stays() {
        let long = "x".repeat(10_000);
        let views: ArrayRef = Arc::new(StringViewArray::from_iter_values((0..100).map(|_| &long)));
        let bytes = |column: &ArrayRef| column.get_buffer_memory_size();
        assert!(bytes(&views.slice(0, 1)) > 100_000);
        assert!(bytes(&plain(&views.slice(0, 1), &DataType::Utf8View).unwrap()) < 50_000);
        let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        let lists: ArrayRef = Arc::new(ListArray::new(item, OffsetBuffer::from_lengths([1; 100]), views, None));
        assert!(bytes(&plain(&lists.slice(50, 1), lists.data_type()).unwrap()) < 50_000);
    }

    #[test]
    fn schemas_have_views_wherever_texts_are() {
        let dictionary = |of| DataType::Dictionary(Box::new(DataType::Int8), Box::new(of));
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        let field = |of| Schema::new(vec![Field::new("c", of, true)]);
        for (known, wanted) in [
            (DataType::Utf8, DataType::Utf8View),
            (DataType::LargeBinary, DataType::BinaryView),
            (dictionary(DataType::LargeUtf8), DataType::Utf8View),
            (dictionary(DataType::Int64), dictionary(DataType::Int64)),
            (list(list(DataType::Utf8)), list(list(DataType::Utf8View))),
            // It would have to become one again.
            (list(dictionary(DataType::Utf8)), list(dictionary(DataType::Utf8))),
            (DataType::Int64, DataType::Int64),
        ] {
            assert_eq!(viewed(&field(known)), field(wanted));
        }
    }
}
