//! Pipes and queues between real processes.

mod support;

use std::time::Duration;

use procession::{Connection, ErrorKind, JoinableQueue, Pipe, Pool, Process, Queue, Receiver, Sender};
use support::{raise, watched};

fn answer(end: Connection<String, Vec<u64>>) {
    loop {
        match end.recv() {
            Ok(numbers) => end.send(format!("{} make {}", numbers.len(), numbers.iter().sum::<u64>())).unwrap(),
            Err(error) => return assert!(error.is_end_of_stream()),
        }
    }
}

#[test]
fn a_process_answers_through_a_pipe() {
    watched("a_process_answers_through_a_pipe", || {
        let (ours, theirs) = Pipe::duplex().unwrap();
        let mut process = Process::spawn(answer, theirs).unwrap();
        for n in 0..100 {
            ours.send((0..n).collect()).unwrap();
            assert_eq!(ours.recv().unwrap(), format!("{n} make {}", (0..n).sum::<u64>()));
        }
        // Larger than what lies between the ends.
        ours.send(vec![1; 3_000_000]).unwrap();
        assert_eq!(ours.recv().unwrap(), "3000000 make 3000000");
        ours.close();
        assert!(process.join().unwrap().success());
    });
}

fn die_after_one(end: Sender<Vec<u8>>) {
    end.send(vec![1; 10]).unwrap();
    raise(9);
}

#[test]
fn a_killed_sender_ends_the_stream() {
    watched("a_killed_sender_ends_the_stream", || {
        let (receiver, sender) = Pipe::one_way().unwrap();
        let _process = Process::spawn(die_after_one, sender).unwrap();
        assert_eq!(receiver.recv().unwrap(), vec![1; 10]);
        assert!(receiver.poll(Duration::MAX).unwrap());
        assert!(receiver.recv().unwrap_err().is_end_of_stream());
    });
}

/// More than the kernel holds, so it is sent while somebody receives.
const LARGE: usize = 20_000_000;

fn send_large(end: Sender<Vec<u8>>) {
    let _ = end.send(vec![7; LARGE]);
}

#[test]
fn a_sender_that_is_killed_in_the_middle_of_a_message_is_told() {
    watched("a_sender_that_is_killed_in_the_middle_of_a_message_is_told", || {
        let (receiver, sender) = Pipe::one_way::<Vec<u8>>().unwrap();
        let mut process = Process::spawn(send_large, sender).unwrap();
        // The message has begun, and cannot end as nobody receives it.
        assert!(receiver.poll(Duration::MAX).unwrap());
        process.kill();
        process.join().unwrap();
        let error = receiver.recv().unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("in the middle of a message"), "{error}");
    });
}

#[test]
fn a_sender_learns_that_its_receiver_was_killed() {
    fn receive_some(end: Receiver<Vec<u8>>) {
        end.recv().unwrap();
        raise(9);
    }
    watched("a_sender_learns_that_its_receiver_was_killed", || {
        let (receiver, sender) = Pipe::one_way::<Vec<u8>>().unwrap();
        let _process = Process::spawn(receive_some, receiver).unwrap();
        let error = (0..).find_map(|_| sender.send(vec![1; 1000]).err()).unwrap();
        assert!(error.is_end_of_stream(), "{error}");
    });
}

#[test]
fn handles_travel_through_pipes() {
    fn fill(orders: Receiver<(u64, Queue<u64>, Sender<String>)>) {
        while let Ok((n, queue, done)) = orders.recv() {
            (0..n).for_each(|n| queue.put(n).unwrap());
            done.send("done".to_string()).unwrap();
        }
    }
    watched("handles_travel_through_pipes", || {
        let (receiver, orders) = Pipe::one_way().unwrap();
        let mut process = Process::spawn(fill, receiver).unwrap();
        for n in 1..20 {
            let (queue, (done, theirs)) = (Queue::unbounded().unwrap(), Pipe::one_way().unwrap());
            orders.send((n, queue.clone(), theirs)).unwrap();
            assert_eq!(done.recv().unwrap(), "done");
            assert!((0..n).all(|n| queue.try_get().unwrap() == n) && queue.is_empty());
            assert!(done.recv().unwrap_err().is_end_of_stream());
        }
        orders.close();
        assert!(process.join().unwrap().success());
    });
}

type Squares = (Queue<u64>, Queue<(u64, u64)>);

fn square((numbers, squares): Squares) {
    while let Ok(n) = numbers.get() {
        squares.put((n, n * n)).unwrap();
    }
}

#[test]
fn processes_share_work_through_queues() {
    watched("processes_share_work_through_queues", || {
        let (numbers, squares) = (Queue::bounded(10).unwrap(), Queue::bounded(3).unwrap());
        let processes: Vec<_> =
            (0..3).map(|_| Process::spawn(square, (numbers.clone(), squares.clone())).unwrap()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..5000).for_each(|n| numbers.put(n).unwrap());
                numbers.close().unwrap();
            });
            let mut got: Vec<(u64, u64)> = (0..5000).map(|_| squares.get().unwrap()).collect();
            got.sort();
            assert!(got.into_iter().eq((0..5000).map(|n| (n, n * n))));
        });
        for mut process in processes {
            assert!(process.join().unwrap().success());
        }
        assert_eq!(squares.try_get().unwrap_err().kind(), ErrorKind::Empty);
    });
}

#[test]
fn tasks_of_a_pool_put_into_a_queue() {
    fn put((queue, n): (Queue<u64>, u64)) {
        queue.put(n).unwrap();
    }
    watched("tasks_of_a_pool_put_into_a_queue", || {
        let pool = Pool::builder().workers(2).build().unwrap();
        let queue = Queue::unbounded().unwrap();
        let items: Vec<_> = (0..100).map(|n| (queue.clone(), n)).collect();
        pool.map(put, items).unwrap();
        let mut got: Vec<u64> = (0..100).map(|_| queue.try_get().unwrap()).collect();
        got.sort();
        assert!(queue.is_empty() && got.into_iter().eq(0..100));
    });
}

/// Does all items but every tenth, in the middle of which it dies.
fn work(queue: JoinableQueue<u64>) {
    while let Ok(n) = queue.get() {
        if n % 10 == 9 {
            raise(9);
        }
        queue.task_done().unwrap();
    }
}

#[test]
fn join_counts_what_dead_consumers_had_taken_as_lost() {
    watched("join_counts_what_dead_consumers_had_taken_as_lost", || {
        let queue = JoinableQueue::unbounded().unwrap();
        (0..55).for_each(|n| queue.put(n).unwrap());
        assert!(queue.join_timeout(Duration::from_millis(1)).unwrap_err().is_timeout());
        for _ in 0..5 {
            let status = Process::spawn(work, queue.clone()).unwrap().join().unwrap();
            assert!(!status.success());
        }
        let mut last = Process::spawn(work, queue.clone()).unwrap();
        assert_eq!(queue.join().unwrap().lost, 5);
        queue.close().unwrap();
        assert!(last.join().unwrap().success());
    });
}

#[test]
fn join_waits_for_a_consumer_in_another_process_and_no_longer_than_it_lives() {
    fn take_and_wait((queue, gate): (JoinableQueue<u64>, Connection<u64, ()>)) {
        gate.send(queue.get().unwrap()).unwrap();
        let _ = gate.recv();
    }
    watched("join_waits_for_a_consumer_in_another_process_and_no_longer_than_it_lives", || {
        let queue = JoinableQueue::unbounded().unwrap();
        let (gate, theirs) = Pipe::duplex().unwrap();
        let mut process = Process::spawn(take_and_wait, (queue.clone(), theirs)).unwrap();
        queue.put(7).unwrap();
        assert_eq!(gate.recv().unwrap(), 7);
        assert!(queue.is_empty() && queue.join_timeout(Duration::from_millis(10)).is_err());
        std::thread::scope(|scope| {
            let joins = scope.spawn(|| queue.join().unwrap().lost);
            process.kill();
            assert_eq!(joins.join().unwrap(), 1);
        });
    });
}
