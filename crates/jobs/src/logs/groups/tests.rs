//! Groups against a map of all keys, with tables and stores so small that all of their ways are taken.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_bytes::ByteBuf;

use super::run::{RunReader, place, write_entry};
use super::*;
use crate::data::Raw;

/// The groups of a store.
fn read(store: &Store) -> BTreeMap<Vec<u8>, u64> {
    let mut groups = BTreeMap::new();
    store.read(|key, group| assert!(groups.insert(key.to_vec(), group.lines).is_none())).unwrap();
    groups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_line_is_counted_once(
        tasks in prop::collection::vec(prop::collection::vec("[a-d]{0,3}", 0..60), 0..8),
        table_bytes in 0_usize..2000,
        memory_bytes in 0_usize..4000,
    ) {
        let mut expected = BTreeMap::new();
        let mut store = Store::new(0, memory_bytes);
        for lines in &tasks {
            let mut table = Table::within(0, table_bytes, 1 << 20);
            for line in lines {
                table.add(line.as_bytes(), |_| 0).unwrap();
                *expected.entry(line.clone().into_bytes()).or_insert(0) += 1;
            }
            store.add(table.finish().unwrap()).unwrap();
        }
        prop_assert_eq!(read(&store), expected);
    }

    #[test]
    fn keys_are_their_values(parts in prop::collection::vec(part(), 0..4), other in prop::collection::vec(part(), 0..4)) {
        let key = |parts: &[KeyPart]| {
            let mut key = Vec::new();
            parts.iter().for_each(|part| push_part(&mut key, &raw(part)));
            key
        };
        prop_assert_eq!(read_key(&key(&parts), parts.len()), parts.clone());
        prop_assert_eq!(key(&parts) == key(&other), parts == other);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(0_u8..8, 0..60)) {
        prop_assert_eq!(read_key(&bytes, 3).len(), 3);
        let mut store = Store::new(0, 0);
        if store.add(vec![ByteBuf::from(bytes)]).is_ok() {
            read(&store);
        }
    }
}

fn part() -> impl Strategy<Value = KeyPart> {
    let text = "[ab\0\u{1}\u{2}1]{0,4}";
    prop_oneof![
        Just(KeyPart::Null),
        any::<bool>().prop_map(KeyPart::Bool),
        text.prop_map(KeyPart::Text),
        "[0-9]{1,3}".prop_map(KeyPart::Number),
        "\\[[0-9]{1,3}\\]".prop_map(KeyPart::Nested),
    ]
}

fn raw(part: &KeyPart) -> Raw<'_> {
    match part {
        KeyPart::Null => Raw::Null,
        KeyPart::Bool(value) => Raw::Bool(*value),
        KeyPart::Number(text) => Raw::Number(text.as_bytes()),
        KeyPart::Text(text) => Raw::Text(text.as_bytes()),
        KeyPart::Nested(text) => Raw::Nested(text.as_bytes()),
    }
}

#[test]
fn what_does_not_fit_in_memory_is_in_a_file_that_goes_with_its_owner() {
    let mut store = Store::new(1, 10_000);
    for task in 0..40 {
        let mut table = Table::new(1);
        for n in 0..100 {
            let key = format!("key {}", (task * 37 + n) % 1000);
            table.add(key.as_bytes(), |stats| stats[0].add(&Raw::Number(b"2"))).unwrap();
        }
        store.add(table.finish().unwrap()).unwrap();
    }
    assert!(store.has_spilled());
    let (mut lines, mut count) = (0, 0);
    store
        .read(|_, group| {
            lines += group.lines;
            count += group.stats[0].summary().count;
        })
        .unwrap();
    assert_eq!((lines, count), (4000, 4000));
}

#[test]
fn runs_of_a_task_are_merged_before_they_are_too_many() {
    let count = |keys: usize, lines: usize| {
        let mut table = Table::within(1, 2000, 10_000);
        for line in 0..lines {
            let key = format!("key {}", line * 7 % keys);
            table.add(key.as_bytes(), |stats| stats[0].add(&Raw::Number(b"2")))?;
        }
        let runs = table.finish()?;
        assert!(runs.iter().map(|run| run.len()).sum::<usize>() <= 10_000);
        let mut store = Store::new(1, 1 << 20);
        store.add(runs)?;
        Ok::<_, std::io::Error>(read(&store))
    };
    let groups = count(100, 5000).unwrap();
    assert_eq!((groups.len(), groups.values().sum::<u64>()), (100, 5000));
    assert!(groups.values().all(|lines| *lines == 50));
    assert!(count(1000, 5000).unwrap_err().to_string().contains("--by"));
}

#[test]
fn few_groups_of_many_tasks_stay_in_memory() {
    let mut store = Store::new(0, 10_000);
    for _ in 0..1000 {
        let mut table = Table::new(0);
        for key in ["a", "b"] {
            table.add(key.as_bytes(), |_| 0).unwrap();
        }
        store.add(table.finish().unwrap()).unwrap();
    }
    assert!(!store.has_spilled());
    assert_eq!(read(&store), BTreeMap::from([(b"a".to_vec(), 1000), (b"b".to_vec(), 1000)]));
}

#[test]
fn runs_that_are_none_are_refused_whole() {
    let mut run = Vec::new();
    for key in ["b", "b"] {
        write_entry(&mut run, key.as_bytes(), 1, &[]).unwrap();
    }
    let mut good = Vec::new();
    write_entry(&mut good, b"a", 1, &[]).unwrap();
    let mut keys = ["c", "d"];
    keys.sort_by_key(|key| std::cmp::Reverse(place(key.as_bytes())));
    let mut disordered = Vec::new();
    keys.iter().for_each(|key| write_entry(&mut disordered, key.as_bytes(), 1, &[]).unwrap());
    let endless = vec![0xff; 20];
    let huge = vec![0xff, 0xff, 0xff, 0x7f, 1, 0];
    let mut long = Vec::new();
    write_entry(&mut long, &vec![b'a'; MAX_KEY_BYTES + 1], 1, &[]).unwrap();
    for bad in [run, disordered, good[..good.len() - 1].to_vec(), endless, huge, long, vec![0, 1, 1, 0x80]] {
        let mut store = Store::new(0, 100);
        store.add(vec![ByteBuf::from(good.clone()), ByteBuf::from(bad)]).unwrap_err();
        assert_eq!(read(&store), BTreeMap::new());
    }
    let mut reader = RunReader::new(good.as_slice(), 0);
    assert!(reader.advance().unwrap() && !reader.advance().unwrap());
}

#[test]
fn statistics_that_no_numbers_have_are_refused() {
    // As a worker would encode them: count, values that are none, least, largest, sum, buckets.
    type Forged<'f> = (u64, u64, Option<(f64, &'f [u8])>, Option<(f64, &'f [u8])>, Vec<(i32, i128)>, Vec<(i32, u64)>);
    let is_taken = |stats: Forged| {
        let body = postcard::to_stdvec(&[stats][..]).unwrap();
        let mut run = vec![1, 1, body.len() as u8, b'a'];
        run.extend(body);
        Store::new(1, 100).add(vec![ByteBuf::from(run)]).is_ok()
    };
    let one: Option<(f64, &[u8])> = Some((1.5, b"1.5"));
    assert!(is_taken((1, 0, one, one, vec![(-1, 15)], vec![(40_020, 1)])));
    assert!(!is_taken((1, 0, Some((f64::NAN, b"1.5")), one, vec![], vec![])), "no such number");
    assert!(!is_taken((1, 0, one, Some((1.5, b"\x1b[2J")), vec![], vec![])), "what a terminal would do");
    assert!(!is_taken((1, 0, one, one, vec![(1, 1), (1, 1)], vec![])), "sums twice");
    assert!(!is_taken((1, 0, one, one, vec![(i32::MIN, 1)], vec![])), "no such exponent");
    assert!(!is_taken((1, 0, one, one, vec![], vec![(i32::MIN, 1)])), "no such bucket");
}

#[test]
fn groups_that_are_gone_from_the_file_are_an_error() {
    let mut store = Store::new(0, 0);
    for key in ["a", "b", "c"] {
        let mut table = Table::new(0);
        table.add(key.as_bytes(), |_| 0).unwrap();
        store.add(table.finish().unwrap()).unwrap();
    }
    assert!(store.has_spilled());
    store.cut_file();
    store.read(|_, _| ()).unwrap_err();
}

#[test]
fn the_top_does_not_depend_on_the_order() {
    let groups = [("c", 2), ("a", 2), ("b", 2), ("d", 1), ("e", 7)];
    for turn in 0..groups.len() {
        let mut top = Top::new(3, usize::MAX);
        for n in 0..groups.len() {
            let (key, lines) = groups[(turn + n) % groups.len()];
            top.add(key.as_bytes(), &Group { lines, ..Group::new(0) });
        }
        assert_eq!(top.seen(), (5, 14));
        let rows: Vec<_> = top.into_rows().into_iter().map(|row| (row.key, row.lines)).collect();
        assert_eq!(rows, [(b"e".to_vec(), 7), (b"a".to_vec(), 2), (b"b".to_vec(), 2)]);
    }
}

#[test]
fn what_is_kept_of_long_keys_does_not_depend_on_the_order() {
    let long = "b".repeat(10_000);
    let groups = [("c", 2), ("a", 9), (long.as_str(), 5), ("d", 4), ("e", 7)];
    for turn in 0..groups.len() {
        let mut top = Top::new(100, 5000);
        for n in 0..groups.len() {
            let (key, lines) = groups[(turn + n) % groups.len()];
            top.add(key.as_bytes(), &Group { lines, ..Group::new(0) });
        }
        assert!(top.is_cut());
        assert_eq!(top.seen(), (5, 27));
        // Those behind the long one would fit, but then it would seem as if there were none between.
        let rows: Vec<_> = top.into_rows().into_iter().map(|row| (row.key, row.lines)).collect();
        assert_eq!(rows, [(b"a".to_vec(), 9), (b"e".to_vec(), 7)]);
    }
}
