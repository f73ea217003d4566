//! Two producers and two consumers at one queue.

use procession::{Process, Queue};

fn produce((queue, name): (Queue<String>, String)) {
    for i in 0..5 {
        // Waits while the queue is full: producers cannot run away from consumers.
        queue.put(format!("{name}-Item-{i}")).unwrap();
    }
}

fn consume((queue, done, name): (Queue<String>, Queue<String>, String)) {
    // `get` ends with an error once the queue is closed and empty, so no time has to run out.
    while let Ok(item) = queue.get() {
        done.put(format!("{name} consumed: {item}")).unwrap();
    }
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let queue = Queue::bounded(3)?;
    let done = Queue::unbounded()?;
    let mut consumers = vec![];
    for n in 0..2 {
        consumers.push(Process::spawn(consume, (queue.clone(), done.clone(), format!("Consumer-{n}")))?);
    }
    let mut producers = vec![];
    for name in ["Producer-a", "Producer-b"] {
        producers.push(Process::spawn(produce, (queue.clone(), name.to_string()))?);
    }
    for producer in &mut producers {
        producer.join()?;
    }
    queue.close()?;
    for consumer in &mut consumers {
        consumer.join()?;
    }
    done.close()?;
    while let Ok(line) = done.get() {
        println!("{line}");
    }
    Ok(())
}
