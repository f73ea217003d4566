//! Set up something costly once in each worker, and use it in every task.

use std::collections::HashMap;

use procession::{Pool, worker_state};

type Dictionary = HashMap<String, usize>;

fn load(words: Vec<String>) -> Dictionary {
    words.into_iter().enumerate().map(|(at, word)| (word, at)).collect()
}

fn look_up(word: String) -> Option<usize> {
    worker_state::<Dictionary>()?.get(&word).copied()
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let words = ["alpha", "beta", "gamma"].map(str::to_string).to_vec();
    let pool = Pool::builder().workers(2).initializer(load, words).build()?;
    println!("{:?}", pool.map(look_up, ["gamma", "delta", "alpha"].map(str::to_string))?);
    Ok(())
}
