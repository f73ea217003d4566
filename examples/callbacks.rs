//! Hand tasks over and be called back.

use std::sync::mpsc;

use procession::Pool;

fn reciprocal(n: f64) -> f64 {
    assert!(n != 0.0, "nothing divides by zero");
    1.0 / n
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let pool = Pool::new()?;
    let (sender, receiver) = mpsc::channel();
    for n in [4.0, 0.0, 0.5] {
        let task = pool.submit(reciprocal, n)?;
        let (on_success, on_error) = (sender.clone(), sender.clone());
        task.on_success(move |result| drop(on_success.send(format!("1 / {n} = {result}"))));
        task.on_error(move |failure| drop(on_error.send(format!("1 / {n}: {failure}"))));
    }
    drop(sender);
    let mut lines: Vec<String> = receiver.into_iter().collect();
    lines.sort();
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}
