//! Open files in arguments.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::read_to_string;
use std::os::unix::fs::FileExt;

use procession::{Limits, OpenFile, Pipe, Sender};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tempfile::TempDir;

use crate::support::{Kind, raise};

/// A folder of files, each of which holds its number.
struct Numbered(TempDir);

impl Numbered {
    fn new(count: u64) -> Numbered {
        let folder = TempDir::new().unwrap();
        (0..count).for_each(|n| fs::write(folder.path().join(n.to_string()), n.to_string()).unwrap());
        Numbered(folder)
    }

    fn open(&self, n: u64) -> OpenFile {
        File::open(self.0.path().join(n.to_string())).unwrap().into()
    }
}

fn number(file: OpenFile) -> u64 {
    read_to_string(file.into_file().unwrap()).unwrap().parse().unwrap()
}

pub fn files_travel_in_chunks(kind: Kind) {
    let files = Numbered::new(500);
    // Other tests run at the same time, and have files too.
    let pool = kind.builder().max_in_flight(60, 1 << 20).build().unwrap();
    for size in [1, 7, 50] {
        // Items without a file, and with two, are in between.
        let items = (0..500).map(|n| match n % 3 {
            0 => (n, vec![]),
            1 => (n, vec![files.open(n)]),
            _ => (n, vec![files.open(n), files.open(499 - n)]),
        });
        let run = |(n, files): (u64, Vec<OpenFile>)| (n, files.into_iter().map(number).collect::<Vec<_>>());
        let outcomes: Vec<_> = pool.chunk_size(size).imap(run, items).unwrap().map(|o| o.result.unwrap()).collect();
        let expected = |n: u64| match n % 3 {
            0 => (n, vec![]),
            1 => (n, vec![n]),
            _ => (n, vec![n, 499 - n]),
        };
        assert_eq!(outcomes, (0..500).map(expected).collect::<Vec<_>>());
    }
}

pub fn files_and_other_handles_go_together(kind: Kind) {
    let files = Numbered::new(40);
    let pool = kind.pool();
    let (receivers, items): (Vec<_>, Vec<_>) = (0..40)
        .map(|n| {
            let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
            // Only some have an end of a pipe, and travel alone for it.
            (receiver, (files.open(n), (n % 4 == 3).then_some(sender)))
        })
        .unzip();
    let run = |(file, sender): (OpenFile, Option<Sender<u64>>)| {
        let n = number(file);
        sender.into_iter().for_each(|sender| sender.send(n).unwrap());
        n
    };
    assert_eq!(pool.chunk_size(10).map(run, items).unwrap(), (0..40).collect::<Vec<_>>());
    for (n, receiver) in (0..).zip(&receivers) {
        assert_eq!(receiver.recv().ok(), (n % 4 == 3).then_some(n));
        assert!(receiver.recv().is_err());
    }
}

pub fn an_item_takes_as_many_files_as_fit(kind: Kind) {
    let files = Numbered::new(1);
    let pool = kind.pool();
    let items = [100, 100, 100, 250, 1, 249];
    let counts = |files: Vec<OpenFile>| files.into_iter().map(OpenFile::into_file).filter(Result::is_ok).count();
    let of = |count: &usize| vec![files.open(0); *count];
    assert_eq!(pool.chunk_size(6).map(counts, items.iter().map(of)).unwrap(), items);
    let error = pool.apply(counts, of(&251)).unwrap_err().to_string();
    assert!(error.contains("more than 250 handles"), "{error}");
}

pub fn what_a_dead_worker_had_gets_its_files_again(kind: Kind) {
    let files = Numbered::new(120);
    let died = TempDir::new().unwrap();
    let pool = kind.builder().retries(3).max_in_flight(60, 1 << 20).build().unwrap();
    let run = |(file, died): (OpenFile, std::path::PathBuf)| {
        let file = file.into_file().unwrap();
        let mut text = [0; 8];
        let len = file.read_at(&mut text, 0).unwrap();
        let n: u64 = std::str::from_utf8(&text[..len]).unwrap().parse().unwrap();
        if n.is_multiple_of(17) && File::create_new(died.join(n.to_string())).is_ok() {
            raise(9);
        }
        n
    };
    let items = (0..120).map(|n| (files.open(n), died.path().to_path_buf()));
    let outcomes: Vec<_> = pool.chunk_size(20).imap(run, items).unwrap().collect();
    for (n, outcome) in (0..).zip(outcomes) {
        assert_eq!(outcome.result, Ok(n));
        assert_eq!(outcome.attempts, if n.is_multiple_of(17) { 2 } else { 1 }, "of {n}");
    }
    assert_eq!(fs::read_dir(died.path()).unwrap().count(), 8);
}

pub fn a_worker_gets_the_files_of_its_items_alone(kind: Kind) {
    let files = Numbered::new(100);
    // It could not take what its items were put together with.
    let limits = Limits::new().open_files(50);
    let pool = kind.builder().limits(limits).max_tasks_per_worker(5).build().unwrap();
    let numbers = pool.chunk_size(100).map(number, (0..100).map(|n| files.open(n))).unwrap();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

/// Gives its files to whoever encodes it first.
struct Once(RefCell<Vec<OpenFile>>);

impl Serialize for Once {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.take().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Once, D::Error> {
        Vec::deserialize(deserializer).map(|files| Once(files.into()))
    }
}

pub fn an_item_with_files_is_encoded_once(kind: Kind) {
    let files = Numbered::new(300);
    let pool = kind.pool();
    let run = |once: Once| once.0.into_inner().into_iter().map(number).collect::<Vec<_>>();
    // The third has no room among the files of the others.
    let ranges = [0..100, 100..200, 200..300];
    let items = ranges.clone().map(|range| Once(RefCell::new(range.map(|n| files.open(n)).collect())));
    assert_eq!(pool.chunk_size(3).map(run, items).unwrap(), ranges.map(|range| range.collect::<Vec<u64>>()));
}
