//! Handles in arguments: ends of pipes, wherever an argument can have them.

use procession::{Connection, FailureKind, Pipe, Process, Receiver, Sender, worker_state};

use crate::support::{Kind, raise};

fn report((n, sender): (u64, Sender<u64>)) -> u64 {
    sender.send(n).unwrap();
    n
}

/// All that arrives, sorted, until every sender is gone.
fn all(receiver: &Receiver<u64>) -> Vec<u64> {
    let mut all: Vec<u64> = std::iter::from_fn(|| match receiver.recv() {
        Ok(n) => Some(n),
        Err(error) => {
            assert!(error.is_end_of_stream(), "{error}");
            None
        }
    })
    .collect();
    all.sort_unstable();
    all
}

pub fn items_carry_handles(kind: Kind) {
    let pool = kind.pool();
    let (receivers, items): (Vec<_>, Vec<_>) = (0..40)
        .map(|n| {
            let (receiver, sender) = Pipe::one_way().unwrap();
            (receiver, (n, sender))
        })
        .unzip();
    assert_eq!(pool.map(report, items).unwrap(), (0..40).collect::<Vec<_>>());
    // The program's own copies are gone with the tasks: each stream has an end.
    for (n, receiver) in (0..).zip(&receivers) {
        assert_eq!(all(receiver), [n]);
    }
}

pub fn single_tasks_and_nested_fields_carry_handles(kind: Kind) {
    type Nested = Vec<Option<(String, Connection<String, u64>)>>;
    fn ask(nested: Nested) -> u64 {
        nested
            .into_iter()
            .flatten()
            .map(|(text, end)| {
                end.send(text).unwrap();
                end.recv().unwrap()
            })
            .sum()
    }
    let pool = kind.pool();
    let (ours, theirs): (Vec<Connection<u64, String>>, Vec<_>) = (0..3).map(|_| Pipe::duplex().unwrap()).unzip();
    for (n, end) in (1..).zip(&ours) {
        end.send(n).unwrap();
    }
    let nested = theirs.into_iter().enumerate().flat_map(|(n, end)| [None, Some((format!("text {n}"), end))]).collect();
    assert_eq!(pool.submit(ask, nested).unwrap().wait().result.unwrap(), 6);
    for (n, end) in ours.iter().enumerate() {
        assert_eq!(end.recv().unwrap(), format!("text {n}"));
    }
}

pub fn contexts_carry_handles(kind: Kind) {
    let pool = kind.pool();
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    // One pipe for all: what workers write at once is atomic, being short.
    pool.map_with(&sender, |sender: &Sender<u64>, n: u64| sender.send(n).unwrap(), 0..50).unwrap();
    drop((pool, sender));
    assert_eq!(all(&receiver), (0..50).collect::<Vec<_>>());
}

pub fn initializers_carry_handles(kind: Kind) {
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let pool = kind.builder().initializer(|sender: Sender<u64>| sender, sender).build().unwrap();
    let report = |n: u64| worker_state::<Sender<u64>>().unwrap().send(n).unwrap();
    pool.map(report, 0..50).unwrap();
    drop(pool);
    assert_eq!(all(&receiver), (0..50).collect::<Vec<_>>());
}

pub fn handles_that_cannot_travel_are_the_items_failure(kind: Kind) {
    let pool = kind.pool();
    let (_receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let outcomes = pool.map(|n: u32| (n == 1).then(|| Pipe::one_way::<u64>().unwrap().1), [0, 1]).unwrap_err();
    let failure = outcomes.failure().unwrap();
    assert!(matches!(failure.kind(), FailureKind::BadResult { message } if message.contains("handle")), "{failure}");
    assert_eq!(failure.index(), 1);
    let many: Vec<_> = (0..251).map(|_| Pipe::one_way::<u64>().unwrap().1).collect();
    let error = pool.apply(|many: Vec<Sender<u64>>| many.len(), many).unwrap_err();
    assert!(error.to_string().contains("more than 250 handles"), "{error}");
    let many: Vec<_> = (0..250).map(|_| Pipe::one_way::<u64>().unwrap().1).collect();
    assert_eq!(pool.apply(|many: Vec<Sender<u64>>| many.len(), many).unwrap(), 250);
    assert_eq!(pool.apply(report, (7, sender)).unwrap(), 7);
}

pub fn a_retried_task_has_its_handles_again(kind: Kind) {
    let pool = kind.builder().retries(2).build().unwrap();
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let (turns, their_turns) = Pipe::one_way::<u64>().unwrap();
    their_turns.send(1).unwrap();
    their_turns.send(2).unwrap();
    let run = |(turns, sender): (Receiver<u64>, Sender<u64>)| {
        let turn = turns.recv().unwrap();
        sender.send(turn).unwrap();
        if turn == 1 {
            raise(9);
        }
        turn
    };
    assert_eq!(pool.apply(run, (turns, sender)).unwrap(), 2);
    assert_eq!(all(&receiver), [1, 2]);
}

pub fn a_process_gets_the_handles_of_its_argument(kind: Kind) {
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let run = |(n, sender): (u64, Sender<u64>)| sender.send(n).unwrap();
    let mut process = Process::builder().start_method(kind.method()).spawn(run, (5, sender)).unwrap();
    assert_eq!(all(&receiver), [5]);
    assert!(process.join().unwrap().success());
}

/// The task closes its end and waits for the program, which waits for that.
pub fn an_end_has_left_the_program_when_its_task_runs(kind: Kind) {
    let pool = kind.pool();
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let (answer, their_answer) = Pipe::one_way::<()>().unwrap();
    let run = |(sender, answer): (Sender<u64>, Receiver<()>)| {
        sender.send(1).unwrap();
        drop(sender);
        answer.recv().unwrap();
    };
    let task = pool.submit(run, (sender, answer)).unwrap();
    assert_eq!(all(&receiver), [1]);
    their_answer.send(()).unwrap();
    assert!(task.wait().is_done());
}

/// Behind a task that runs no handle waits: what is cancelled meanwhile is closed at once.
pub fn handles_of_a_cancelled_task_are_closed(kind: Kind) {
    let pool = kind.builder().workers(1).build().unwrap();
    let (go, their_go) = Pipe::one_way::<()>().unwrap();
    let (started, is_started) = Pipe::one_way::<()>().unwrap();
    let wait = |(go, is_started): (Receiver<()>, Sender<()>)| {
        is_started.send(()).unwrap();
        go.recv().unwrap();
    };
    let running = pool.submit(wait, (go, is_started)).unwrap();
    started.recv().unwrap();
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let waiting = pool.submit(report, (1, sender)).unwrap();
    waiting.cancel();
    assert!(waiting.wait().failure().unwrap().is_cancelled());
    assert_eq!(all(&receiver), []);
    their_go.send(()).unwrap();
    assert!(running.wait().is_done());
}

pub fn handles_of_an_item_without_its_context_are_closed(kind: Kind) {
    /// Can be encoded, but not decoded.
    #[derive(serde::Serialize)]
    struct Broken;
    impl<'de> serde::Deserialize<'de> for Broken {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Broken, D::Error> {
            Err(serde::de::Error::custom("broken"))
        }
    }
    let pool = kind.pool();
    let (receiver, sender) = Pipe::one_way::<u64>().unwrap();
    let error = pool.map_with(&Broken, |_: &Broken, item: (u64, Sender<u64>)| item.0, [(1, sender)]).unwrap_err();
    assert!(matches!(error.failure().unwrap().kind(), FailureKind::BadArgument { .. }), "{error}");
    assert_eq!(all(&receiver), []);
}
