//! Rows as they are written, read and cut.

use proptest::prelude::*;

use super::*;
use crate::data::Raw;

type Field = Option<Vec<u8>>;

fn read(text: &[u8], dialect: Dialect, columns: usize) -> Vec<Result<Vec<Field>, String>> {
    let mut rows = Rows::new(text, dialect, columns);
    let (mut fields, mut all) = (Vec::new(), Vec::new());
    while let Some((_, read)) = rows.next(&mut fields) {
        let row = fields.iter().map(|field: &Raw<'_>| field.text().map(|text| text.into_owned())).collect();
        all.push(read.map(|()| row).map_err(|reason| reason.to_string()));
    }
    all
}

fn write(rows: &[Vec<Field>], dialect: Dialect, end: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for row in rows {
        for (n, field) in row.iter().enumerate() {
            if n > 0 {
                out.push(dialect.delimiter);
            }
            if let Some(text) = field {
                write_text(text, dialect, &mut out);
            }
        }
        out.extend_from_slice(end);
    }
    out
}

fn fields() -> impl Strategy<Value = Field> {
    prop::option::of("[a,;\"'\n\r\t ]{0,5}|[a-z]{14,40}".prop_map(String::into_bytes))
}

const ODD: Dialect = Dialect { delimiter: b';', quote: b'\'' };

proptest! {
    #[test]
    fn rows_are_read_as_they_were_written(
        rows in (1_usize..5).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(fields(), n), 0..8)),
    ) {
        for dialect in [Dialect::CSV, Dialect::TSV, ODD] {
            for end in [&b"\n"[..], b"\r\n"] {
                let text = write(&rows, dialect, end);
                let columns = rows.first().map_or(0, Vec::len);
                let found: Vec<Vec<Field>> = read(&text, dialect, columns).into_iter().collect::<Result<_, _>>().unwrap();
                prop_assert_eq!(found, rows.clone());
            }
        }
    }

    #[test]
    fn whatever_it_is_rows_are_cut_as_they_are_read(
        text in "[a,\"\n\r]{0,60}",
        from in 1_usize..70,
        cut in 0_usize..70,
    ) {
        let text = text.as_bytes();
        let mut rows = Rows::new(text, Dialect::CSV, 1);
        let (mut fields, mut ends) = (Vec::new(), Vec::new());
        while rows.next(&mut fields).is_some() {
            ends.push(rows.at());
        }
        // The last row may have no end yet.
        let is_ended = |end: &usize| *end < text.len() || RowBorders::new(Dialect::CSV).find(text, *end).is_some();
        let expected = ends.into_iter().filter(is_ended).find(|end| *end >= from);
        prop_assert_eq!(RowBorders::new(Dialect::CSV).find(text, from), expected);
        let (first, second) = text.split_at(cut.min(text.len()));
        let mut borders = RowBorders::new(Dialect::CSV);
        let found = borders.find(first, from).or_else(|| {
            borders.find(second, from.saturating_sub(first.len()).max(1)).map(|at| at + first.len())
        });
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn bad_rows_are_told_and_the_next_is_read() {
    let good = |text: &str| Ok(vec![Some(text.as_bytes().to_vec())]);
    for (text, reason) in [
        ("a\"b\n", "a quote stands in a field without quotes"),
        ("\"a\"b\n", "something stands behind a closing quote"),
        ("a \"b\nc\"\n", "a quote stands in a field without quotes"),
    ] {
        let found = read(format!("{text}next\n").as_bytes(), Dialect::CSV, 1);
        assert_eq!(found[0], Err(reason.to_string()), "{text}");
        assert_eq!(*found.last().unwrap(), good("next"), "{text}");
    }
    assert_eq!(read(b"x\n\"a\nb", Dialect::CSV, 1), [good("x"), Err("a quoted field has no end".to_string())]);
}

#[test]
fn nothing_and_empty_differ() {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    assert_eq!(read(b",\"\",x\r\n\r\n", Dialect::CSV, 3), [Ok(vec![None, text(""), text("x")])]);
    assert_eq!(read(b"\n\"\"\n", Dialect::CSV, 1), [Ok(vec![None]), Ok(vec![text("")])]);
    assert_eq!(read(b"a", Dialect::CSV, 2), [Ok(vec![text("a")])]);
    assert_eq!(read(b"a,", Dialect::CSV, 2), [Ok(vec![text("a"), None])]);
}
