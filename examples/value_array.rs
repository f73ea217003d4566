//! A number and some text in shared memory, changed by another process: Python's `Value` and `Array`.

use procession::{Array, Process, Value};

fn modify((counter, name): (Value<i64>, Array<u8>)) {
    for _ in 0..1000 {
        *counter.get_lock().unwrap() += 1;
    }
    name.copy_from_slice(b"Alice   ");
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let counter = Value::new(0)?;
    let name = Array::from_slice(b"John Doe")?;
    // Two at once: the lock makes "read, add, write" one step.
    let mut processes = vec![];
    for _ in 0..2 {
        processes.push(Process::spawn(modify, (counter.clone(), name.clone()))?);
    }
    for process in &mut processes {
        process.join()?;
    }
    println!("Counter: {}", counter.get());
    println!("Name: {}", String::from_utf8_lossy(&name.to_vec()).trim_end());
    // For whole numbers there is a way without a lock.
    counter.fetch_add(1);
    println!("Counter: {}", counter.get());
    Ok(())
}
