//! Calls with a journal: what they record, and what they run again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use procession::{ErrorKind, Journal, Outcome, Pipe, Pool, Receiver};
use tempfile::TempDir;

use crate::support::{Kind, square};

/// A folder with room for one journal.
struct Lab(TempDir);

impl Lab {
    fn new() -> Lab {
        Lab(TempDir::new().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("journal")
    }

    fn open(&self) -> Journal {
        Journal::resume(self.path(), "a test").unwrap()
    }
}

/// The results in order, and how many tasks were run for them.
fn sorted<R>(outcomes: impl Iterator<Item = Outcome<R>>) -> (Vec<R>, u32) {
    let mut outcomes: Vec<_> = outcomes.collect();
    outcomes.sort_by_key(|outcome| outcome.index);
    let ran = outcomes.iter().map(|outcome| outcome.attempts).sum();
    (outcomes.into_iter().map(|outcome| outcome.result.unwrap()).collect(), ran)
}

fn odd_only(n: u64) -> Result<u64, String> {
    if n.is_multiple_of(2) { Err(format!("{n} is even")) } else { Ok(n) }
}

fn odd_or_panic(n: u64) -> u64 {
    odd_only(n).unwrap()
}

fn look_up(words: &HashMap<u64, String>, n: u64) -> Option<String> {
    words.get(&n).cloned()
}

fn try_look_up(words: &HashMap<u64, String>, n: u64) -> Result<String, String> {
    look_up(words, n).ok_or_else(|| "no such word".to_string())
}

pub fn what_is_recorded_is_not_run_again(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    let journal = lab.open();
    assert_eq!((journal.recovered(), journal.lost_bytes()), (0, 0));
    let first: Vec<u64> =
        pool.journal(&journal).imap_unordered(square, 0..5000).unwrap().take(700).map(|o| o.result.unwrap()).collect();
    assert_eq!(first.len(), 700);
    assert_eq!(Journal::resume(lab.path(), "a test").unwrap_err().kind(), ErrorKind::Busy);
    drop(journal);
    let journal = lab.open();
    let recovered = journal.recovered();
    assert!((700..=5000).contains(&recovered), "{recovered}");
    // In another order, and with others among them.
    let (results, ran) = sorted(pool.journal(&journal).imap(square, (0..6000).rev()).unwrap());
    assert_eq!(results, (0..6000).rev().map(square).collect::<Vec<_>>());
    assert_eq!(u64::from(ran), 6000 - recovered);
    drop(journal);
    let journal = lab.open();
    assert_eq!(journal.recovered(), 6000);
    assert_eq!(pool.journal(&journal).map(square, 0..6000).unwrap(), (0..6000).map(square).collect::<Vec<_>>());
    let size = std::fs::metadata(lab.path()).unwrap().len();
    drop(journal);
    assert_eq!(std::fs::metadata(lab.path()).unwrap().len(), size);
}

pub fn every_call_takes_a_journal(kind: Kind) {
    let words: HashMap<u64, String> = (0..50).map(|n| (n, format!("w{n}"))).collect();
    let spelled: Vec<String> = (0..50).map(|n| format!("w{n}")).collect();
    let pool = kind.pool();
    let odd = || (1..99).step_by(2);
    let calls: [&dyn Fn(&Journal); 9] = [
        &|j| assert_eq!(pool.journal(j).map(square, 0..50).unwrap().len(), 50),
        &|j| assert_eq!(pool.journal(j).chunk_size(7).try_map(odd_only, odd()).unwrap(), odd().collect::<Vec<_>>()),
        &|j| assert_eq!(pool.journal(j).map_with(&words, look_up, 0..50).unwrap().len(), 50),
        &|j| assert_eq!(sorted(pool.journal(j).imap(square, 0..50).unwrap()).0.len(), 50),
        &|j| assert_eq!(sorted(pool.journal(j).imap_unordered(square, 0..50).unwrap()).0.len(), 50),
        &|j| assert_eq!(sorted(pool.journal(j).imap_unordered_with(&words, look_up, 0..50).unwrap()).0.len(), 50),
        &|j| assert_eq!(sorted(pool.journal(j).try_imap(odd_only, odd()).unwrap()).0.len(), 49),
        &|j| assert_eq!(sorted(pool.journal(j).try_imap_unordered(odd_only, odd()).unwrap()).0.len(), 49),
        &|j| {
            assert_eq!(sorted(pool.journal(j).try_imap_unordered_with(&words, try_look_up, 0..50).unwrap()).0, spelled)
        },
    ];
    for call in calls {
        let lab = Lab::new();
        call(&lab.open());
        let recorded = lab.open();
        assert!((49..=50).contains(&recorded.recovered()), "{}", recorded.recovered());
        call(&recorded);
        drop(recorded);
        assert!((49..=50).contains(&lab.open().recovered()));
    }
}

pub fn what_failed_runs_again(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    for round in 0..3 {
        let journal = lab.open();
        assert_eq!(journal.recovered(), if round == 0 { 0 } else { 50 });
        let attempts = |outcomes: Vec<Outcome<u64>>| {
            for outcome in &outcomes {
                let is_recorded = round > 0 && outcome.index % 2 == 1;
                assert_eq!((outcome.attempts == 0, outcome.is_done()), (is_recorded, outcome.index % 2 == 1));
            }
            outcomes.len()
        };
        let outcomes = if round == 1 {
            pool.journal(&journal).imap(odd_or_panic, 0..100).unwrap().collect()
        } else {
            pool.journal(&journal).try_imap(odd_only, 0..100).unwrap().collect()
        };
        assert_eq!(attempts(outcomes), 100);
    }
}

pub fn items_that_are_the_same_have_a_record_each(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    pool.journal(&lab.open()).map(square, [7; 30]).unwrap();
    assert_eq!(lab.open().recovered(), 30);
    let (results, ran) = sorted(pool.journal(&lab.open()).imap(square, [7; 40]).unwrap());
    assert_eq!((results, ran), (vec![49; 40], 10));
}

pub fn context_and_identity_are_part_of_an_item(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    let words = |word: &str| HashMap::from([(1u64, word.to_string())]);
    let run = |words: &HashMap<u64, String>, identity: &[&[u8]]| {
        let journal = lab.open();
        let items = [1].into_iter().inspect(|_| identity.iter().for_each(|part| journal.identify(part)));
        sorted(pool.journal(&journal).imap_unordered_with(words, look_up, items).unwrap())
    };
    let mut seen = Vec::new();
    for word in ["one", "uno"] {
        let identities: [&[&[u8]]; 6] = [&[], &[b"a"], &[b"b"], &[b"ab"], &[b"a", b"b"], &[b""]];
        for identity in identities {
            let case = (word, identity);
            assert_eq!(run(&words(word), identity), (vec![Some(word.to_string())], 1), "{case:?}");
            seen.push(case);
            for (word, identity) in &seen {
                assert_eq!(run(&words(word), identity), (vec![Some(word.to_string())], 0), "{word} {identity:?}");
            }
        }
    }
}

pub fn items_with_handles_are_never_recorded(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    for _ in 0..2 {
        let journal = lab.open();
        assert_eq!(journal.recovered(), 0);
        let (receiver, sender) = Pipe::one_way().unwrap();
        sender.send(7u64).unwrap();
        let items = [receiver].into_iter().inspect(|_| journal.identify(b"the end of a pipe"));
        let take = |receiver: Receiver<u64>| receiver.recv().map_err(|e| e.to_string());
        assert_eq!(pool.journal(&journal).try_map(take, items).unwrap(), [7]);
    }
}

pub fn results_of_another_type_run_again(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    assert_eq!(pool.journal(&lab.open()).map(|n: u64| n as u8, 1..21).unwrap().len(), 20);
    for ran in [20, 0] {
        let journal = lab.open();
        let words = pool.journal(&journal).imap(|n: u64| format!("number {n}"), 1..21).unwrap();
        let (words, attempts) = sorted(words);
        assert_eq!((words[19].as_str(), attempts), ("number 20", ran));
    }
}

pub fn large_values_are_recorded(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    let grow = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len() * 2, 1);
        bytes
    };
    let items = || [0, 1, 20_000, 70_000, 3_000_000].map(|len| vec![9u8; len]);
    let want: Vec<Vec<u8>> = items().into_iter().map(grow).collect();
    for ran in [5, 0] {
        let journal = lab.open();
        let (found, attempts) = sorted(pool.journal(&journal).imap_unordered(grow, items()).unwrap());
        assert!(found == want);
        assert_eq!(attempts, ran);
    }
}

fn rest(millis: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(millis));
    millis
}

pub fn the_disk_gets_it_while_the_call_waits(kind: Kind) {
    let (lab, pool) = (Lab::new(), kind.pool());
    // The first record is on the disk at once, the second is due a second later, when the call waits for the third: that
    // wake-up is no end of the call, and no reason to run longer than it may.
    let times = [0, 1, 1500];
    assert_eq!(pool.journal(&lab.open()).chunk_size(1).map(rest, times).unwrap(), times);
    let journal = lab.open();
    assert_eq!(journal.recovered(), 3);
    if matches!(kind, Kind::Inline) {
        return;
    }
    let limited = pool.journal(&journal).chunk_size(1).call_timeout(Duration::from_millis(1200));
    assert_eq!(limited.map(rest, [2, 3, 30_000]).unwrap_err().kind(), ErrorKind::Timeout);
}

fn large(n: u64) -> Vec<u8> {
    vec![n as u8; 100_000]
}

pub fn a_journal_that_cannot_be_written_ends_the_call(kind: Kind) {
    const CHILD: &str = "JOURNAL_TEST_CHILD";
    if let Some(path) = std::env::var_os(CHILD) {
        return run_out_of_room(&kind.pool(), &PathBuf::from(path));
    }
    let lab = Lab::new();
    // A process may not write files of more than 2 MiB, and hears of it by an error: what a full disk looks like.
    let script = "ulimit -f 2048; trap '' XFSZ; exec \"$0\" \"$@\"";
    let own = std::env::current_exe().unwrap();
    let row = format!("{}::a_journal_that_cannot_be_written_ends_the_call", kind.name());
    let mut child = std::process::Command::new("bash");
    child.args(["-c", script]).arg(own).args(["--exact", &row]).env(CHILD, lab.path());
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    // Whole records only, as many as there was room for.
    let journal = Journal::resume(lab.path(), "full").unwrap();
    assert_eq!((journal.lost_bytes(), journal.recovered() > 0), (0, true));
}

fn run_out_of_room(pool: &Pool, path: &Path) {
    let journal = Journal::create(path, "full").unwrap();
    let error = pool.journal(&journal).map(large, 0..100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().starts_with(&format!("failed to write the journal `{}`: ", path.display())), "{error}");
    assert_eq!(journal.flush().unwrap_err().to_string(), error.to_string());
    let outcomes: Vec<_> = pool.journal(&journal).chunk_size(1).imap(large, 0..1_000_000).unwrap().collect();
    assert!(outcomes.len() < 1_000_000 && outcomes.iter().map(|o| o.index).eq(0..outcomes.len()));
    assert!(outcomes.iter().any(Outcome::is_done));
    for failure in outcomes.iter().filter_map(Outcome::failure) {
        assert!(failure.is_cancelled() && failure.to_string().contains("failed to write the journal"), "{failure}");
    }
    // Without it the pool works as before.
    assert_eq!(pool.map(square, 0..50).unwrap().len(), 50);
}
