//! Queues and pipes whose users are killed at any moment: nothing hangs, no item is changed, none is seen twice, and each
//! death costs at most the one item that the dead consumer had taken.
//!
//! `PROCESSION_SEEDS=N` runs N seeds (default 200), `PROCESSION_SEED=S` the one that a failure has printed.

mod support;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use procession::{ErrorKind, JoinableQueue, Pipe, Process, Queue, Sender};
use support::{Random, for_each_seed};

/// Who has put it, its number there, and bytes that both determine.
type Item = (u64, u64, Vec<u8>);

/// In the place of a producer's number.
const PIPE: u64 = 0;

fn item(producer: u64, n: u64) -> Item {
    let mut random = Random(producer << 32 | n);
    // Most are small, some make the queue grow. Through a pipe they are larger than the kernel holds.
    let len = match random.below(50) {
        _ if producer == PIPE => random.below(1_000_000),
        0 => random.below(300_000),
        1..5 => random.below(20_000),
        _ => random.below(60),
    };
    (producer, n, vec![random.next() as u8; len as usize])
}

fn spin(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Puts items for as long as it lives, or until the queue is closed.
fn produce((queue, producer): (Queue<Item>, u64)) {
    for n in 0.. {
        if queue.put(item(producer, n)).is_err() {
            return;
        }
    }
}

/// Passes on what it gets, until there is no more.
fn consume((from, to): (Queue<Item>, Queue<Item>)) {
    while let Ok(item) = from.get() {
        to.put(item).unwrap();
    }
}

/// What has come out at the end.
#[derive(Default)]
struct Ledger {
    seen: HashMap<u64, Vec<u64>>,
}

impl Ledger {
    fn add(&mut self, got: Item) {
        assert!(got == item(got.0, got.1), "item {} of producer {} was changed", got.1, got.0);
        self.seen.entry(got.0).or_default().push(got.1);
    }

    /// How many are missing, of those that were put for certain: all up to the last one seen of a producer.
    fn close(self) -> u64 {
        let mut missing = 0;
        for (producer, mut numbers) in self.seen {
            let count = numbers.len();
            numbers.sort();
            numbers.dedup();
            assert_eq!(numbers.len(), count, "an item of producer {producer} was seen twice");
            missing += numbers.last().map_or(0, |last| last + 1 - count as u64);
        }
        missing
    }
}

/// Producers and consumers that are killed and replaced, between two queues. The test itself consumes what comes out,
/// so it is one of those that must not hang.
#[test]
fn queues_outlive_their_producers_and_consumers() {
    for_each_seed("queues_outlive_their_producers_and_consumers", 200, |seed| {
        let mut random = Random(seed ^ 0x9e0e);
        let limit = |random: &mut Random| [0, 1, 3, 100][random.below(4) as usize];
        let builder = Queue::builder().max_bytes(1 << (19 + random.below(8)));
        let (from, to) = (builder.clone().max_items(limit(&mut random)), builder.max_items(limit(&mut random)));
        let (from, to): (Queue<Item>, Queue<Item>) = (from.build().unwrap(), to.build().unwrap());
        let kills = 2 + random.below(5);
        let results = to.clone();
        let (killed_consumers, ledger) = std::thread::scope(|scope| {
            let reader = scope.spawn(move || {
                let mut ledger = Ledger::default();
                loop {
                    match results.get() {
                        Ok(item) => ledger.add(item),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                            return ledger;
                        }
                    }
                }
            });
            let mut next_producer = 0;
            let mut producer = || {
                next_producer += 1;
                Process::builder().daemon(true).spawn(produce, (from.clone(), next_producer)).unwrap()
            };
            let consumer = || Process::builder().daemon(true).spawn(consume, (from.clone(), to.clone())).unwrap();
            let mut producers: Vec<Process> = (0..1 + random.below(2)).map(|_| producer()).collect();
            let mut consumers: Vec<Process> = (0..1 + random.below(2)).map(|_| consumer()).collect();
            let mut killed_consumers = 0;
            for _ in 0..kills {
                spin(Duration::from_micros(random.below(4000)));
                let (victims, is_consumer) =
                    if random.below(2) == 0 { (&mut producers, false) } else { (&mut consumers, true) };
                let victim = random.below(victims.len() as u64) as usize;
                victims[victim].kill();
                victims[victim].join().unwrap();
                killed_consumers += u64::from(is_consumer);
                victims[victim] = if is_consumer { consumer() } else { producer() };
            }
            from.close().unwrap();
            producers.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
            consumers.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
            assert!(from.is_empty() && from.qsize() == 0);
            to.close().unwrap();
            (killed_consumers, reader.join().unwrap())
        });
        assert_eq!((to.qsize(), to.try_get().unwrap_err().kind()), (0, ErrorKind::Closed));
        let missing = ledger.close();
        assert!(
            missing <= killed_consumers,
            "{missing} items are missing after {killed_consumers} deaths of consumers"
        );
    });
}

/// Sends items for as long as it lives.
fn send(end: Sender<Vec<u8>>) {
    (0..).find_map(|n| end.send(item(PIPE, n).2).err());
}

/// What a killed sender has sent whole comes, unchanged and in order, and then the end: a clean one only between two
/// messages.
#[test]
fn a_pipe_tells_how_its_sender_ended() {
    let mut cut_off = 0;
    for_each_seed("a_pipe_tells_how_its_sender_ended", 200, |seed| {
        let mut random = Random(seed ^ 0x9199);
        let (receiver, sender) = Pipe::one_way::<Vec<u8>>().unwrap();
        let mut process = Process::builder().daemon(true).spawn(send, sender).unwrap();
        let (first_has_come, first) = std::sync::mpsc::channel();
        let victim = std::thread::spawn(move || {
            first.recv().unwrap();
            spin(Duration::from_micros(random.below(2000)));
            process.kill();
            process.join().unwrap();
        });
        for n in 0.. {
            match receiver.recv() {
                Ok(got) => {
                    assert!(got == item(PIPE, n).2, "message {n} was changed");
                    let _ = first_has_come.send(());
                }
                Err(error) if error.is_end_of_stream() => break,
                Err(error) => {
                    assert!(error.kind() == ErrorKind::Io && error.to_string().contains("in the middle"), "{error}");
                    cut_off += 1;
                    break;
                }
            }
        }
        victim.join().unwrap();
    });
    println!("{cut_off} senders were killed in the middle of a message");
}

/// Does what it gets, and tells.
fn work((queue, done): (JoinableQueue<u64>, Queue<u64>)) {
    while let Ok(n) = queue.get() {
        done.put(n).unwrap();
        queue.task_done().unwrap();
    }
}

/// Consumers of a joinable queue die; each item is done or lost, and join knows how many were lost.
#[test]
fn join_is_exact_whoever_dies() {
    for_each_seed("join_is_exact_whoever_dies", 200, |seed| {
        let mut random = Random(seed ^ 0x101e);
        let (queue, done) = (JoinableQueue::unbounded().unwrap(), Queue::unbounded().unwrap());
        let count = 1 + random.below(20_000);
        (0..count).for_each(|n| queue.put(n).unwrap());
        let worker = || Process::builder().daemon(true).spawn(work, (queue.clone(), done.clone())).unwrap();
        let mut workers: Vec<Process> = (0..1 + random.below(2)).map(|_| worker()).collect();
        let kills = random.below(5);
        let lost = std::thread::scope(|scope| {
            let join = scope.spawn(|| queue.join().unwrap().lost);
            for _ in 0..kills {
                spin(Duration::from_micros(random.below(3000)));
                let victim = random.below(workers.len() as u64) as usize;
                workers[victim].kill();
                workers[victim].join().unwrap();
                workers[victim] = worker();
            }
            join.join().unwrap()
        });
        queue.close().unwrap();
        workers.iter_mut().for_each(|process| assert!(process.join().unwrap().success()));
        let mut seen: Vec<u64> = std::iter::from_fn(|| done.try_get().ok()).collect();
        let told = seen.len() as u64;
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len() as u64, told, "an item was done twice");
        // One that is lost may have been told already: its worker died before it said that it is done.
        assert!(
            lost <= kills && told <= count && told >= count - lost,
            "{told} of {count} told, {lost} lost, {kills} killed"
        );
    });
}
