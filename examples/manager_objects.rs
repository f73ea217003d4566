//! A dictionary and a list that four processes share, and an object with methods of its own.

use procession::{DictProxy, ListProxy, Manager, Process, Proxy, managed};

/// Counts how often each word was seen, and knows the most frequent one.
#[derive(Default)]
struct Words(std::collections::BTreeMap<String, u64>);

impl Words {
    fn see(&mut self, word: String) {
        *self.0.entry(word).or_default() += 1;
    }

    fn most_frequent(&self) -> Option<(String, u64)> {
        self.0.iter().max_by_key(|(_, count)| **count).map(|(word, count)| (word.clone(), *count))
    }
}

managed! {
    /// What proxies of [`Words`] can do: each call is one step for all processes.
    trait WordsCalls for Words {
        fn see(word: String);
        fn most_frequent() -> Option<(String, u64)>;
    }
}

type Shared = (DictProxy<String, String>, ListProxy<String>, Proxy<Words>);

fn work(((dict, list, words), name): (Shared, String)) {
    dict.insert(name.clone(), format!("Process {name} was here")).unwrap();
    list.push(format!("Entry from {name}")).unwrap();
    for word in ["entry", "from", "worker", "worker"] {
        words.see(word.to_string()).unwrap();
    }
}

fn main() -> Result<(), procession::Error> {
    procession::init();
    let manager = Manager::new()?;
    let shared: Shared = (manager.dict()?, manager.list([])?, manager.create(|()| Words::default(), ())?);
    let mut processes = vec![];
    for n in 0..4 {
        processes.push(Process::spawn(work, (shared.clone(), format!("Worker-{n}")))?);
    }
    for process in &mut processes {
        process.join()?;
    }
    let (dict, list, words) = shared;
    // A dictionary has no order, and which process was first is chance.
    let mut items: Vec<_> = dict.to_map()?.into_iter().collect();
    items.sort();
    println!("Shared dict: {items:?}");
    let mut entries = list.to_vec()?;
    entries.sort();
    println!("Shared list: {entries:?}");
    println!("Most frequent word: {:?}", words.most_frequent()?);
    Ok(())
}
