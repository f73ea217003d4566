//! Objects in a process of their own: who can use them, and what ends when somebody dies.

mod support;

use procession::{
    DictProxy, ErrorKind, ListProxy, Manager, NamespaceProxy, Pipe, Pool, Process, Proxy, Sender, ValueProxy, managed,
};
use support::{Random, for_each_seed, is_running, raise, until, watched};

struct Counter(i64);

impl Counter {
    fn add(&mut self, n: i64) -> i64 {
        self.0 += n;
        self.0
    }

    fn get(&self) -> i64 {
        self.0
    }

    fn fail(&mut self, message: String) {
        self.0 = -1;
        panic!("{message}");
    }

    fn end(&mut self) {
        std::process::abort();
    }
}

managed! {
    trait Counting for Counter {
        fn add(n: i64) -> i64;
        fn get() -> i64;
        fn fail(message: String);
        fn end();
    }
}

#[test]
fn every_kind_of_object_is_shared_between_processes() {
    type All = (DictProxy<String, u64>, ListProxy<String>, ValueProxy<Option<u32>>, NamespaceProxy, Proxy<Counter>);
    fn work((dict, list, value, namespace, counter): All) {
        dict.insert("from the child".to_string(), 1).unwrap();
        list.push("child".to_string()).unwrap();
        assert_eq!(value.set(Some(2)).unwrap(), Some(1));
        namespace.set("status", &"completed").unwrap();
        counter.add(40).unwrap();
    }
    watched("every_kind_of_object_is_shared_between_processes", || {
        let manager = Manager::new().unwrap();
        let dict = manager.dict().unwrap();
        let list = manager.list(["parent".to_string()]).unwrap();
        let value = manager.value(Some(1)).unwrap();
        let namespace = manager.namespace().unwrap();
        let counter = manager.create(Counter, 2).unwrap();
        let all = (dict.clone(), list.clone(), value.clone(), namespace.clone(), counter.clone());
        assert!(Process::spawn(work, all).unwrap().join().unwrap().success());
        assert_eq!(dict.get("from the child".to_string()).unwrap(), Some(1));
        assert_eq!(list.to_vec().unwrap(), ["parent", "child"]);
        assert_eq!(value.get().unwrap(), Some(2));
        assert_eq!(namespace.get::<String>("status").unwrap().unwrap(), "completed");
        assert_eq!(counter.get().unwrap(), 42);
    });
}

#[test]
fn dictionaries_and_lists_do_what_those_of_rust_do() {
    watched("dictionaries_and_lists_do_what_those_of_rust_do", || {
        let manager = Manager::new().unwrap();
        let dict = manager.dict::<u8, String>().unwrap();
        assert_eq!(dict.insert(1, "a".into()).unwrap(), None);
        assert_eq!(dict.insert(1, "b".into()).unwrap().unwrap(), "a");
        assert_eq!(dict.get_or_insert(1, "c".into()).unwrap(), "b");
        assert_eq!(dict.get_or_insert(2, "c".into()).unwrap(), "c");
        dict.extend([(3, "d".into()), (4, "e".into())]).unwrap();
        assert_eq!(dict.remove(4).unwrap().unwrap(), "e");
        assert_eq!(dict.remove(4).unwrap(), None);
        let mut keys = dict.keys().unwrap();
        keys.sort_unstable();
        assert_eq!((keys, dict.len().unwrap()), (vec![1, 2, 3], 3));
        assert_eq!(dict.to_map().unwrap()[&3], "d");
        dict.clear().unwrap();
        assert_eq!(dict.values().unwrap(), Vec::<String>::new());

        let list = manager.list([1, 2, 3]).unwrap();
        assert_eq!((list.get(2).unwrap(), list.get(3).unwrap()), (Some(3), None));
        assert_eq!((list.set(0, 9).unwrap(), list.set(7, 9).unwrap()), (Some(1), None));
        assert_eq!((list.remove(1).unwrap(), list.remove(2).unwrap()), (Some(2), None));
        list.extend([5, 6]).unwrap();
        assert_eq!(list.pop().unwrap(), Some(6));
        assert_eq!((list.len().unwrap(), list.to_vec().unwrap()), (3, vec![9, 3, 5]));
        list.clear().unwrap();
        assert_eq!(list.pop().unwrap(), None);

        let namespace = manager.namespace().unwrap();
        namespace.set("b", &1_u64).unwrap();
        namespace.set("a", &"text").unwrap();
        assert_eq!(namespace.names().unwrap(), ["a", "b"]);
        assert_eq!(namespace.get::<u8>("c").unwrap(), None);
        assert_eq!(namespace.get::<Vec<String>>("a").unwrap_err().kind(), ErrorKind::BadArgument);
        assert!(namespace.remove("a").unwrap() && !namespace.remove("a").unwrap());
    });
}

#[test]
fn calls_of_one_object_run_one_at_a_time() {
    watched("calls_of_one_object_run_one_at_a_time", || {
        let manager = Manager::new().unwrap();
        let counter = manager.create(Counter, 0).unwrap();
        let pool = Pool::builder().workers(3).build().unwrap();
        let add = |counter: &Proxy<Counter>, n: i64| counter.add(n).map(|_| ()).map_err(|e| e.to_string());
        let results = pool.map_with(&counter, add, vec![1; 300]).unwrap();
        assert!(results.iter().all(Result::is_ok));
        // Threads of one process share a proxy.
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| counter.add(25).unwrap()))));
        assert_eq!(counter.get().unwrap(), 400);
    });
}

#[test]
fn a_panic_is_the_callers_error_and_the_object_lives_on() {
    watched("a_panic_is_the_callers_error_and_the_object_lives_on", || {
        let manager = Manager::new().unwrap();
        let counter = manager.create(Counter, 5).unwrap();
        let error = counter.fail("as planned".to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Remote);
        assert!(error.to_string().contains("as planned"), "{error}");
        assert_eq!(counter.get().unwrap(), -1);
        let error = manager.create(|_: u8| -> Counter { panic!("no counter today") }, 1).unwrap_err();
        assert!(error.kind() == ErrorKind::Remote && error.to_string().contains("no counter today"), "{error}");
        assert_eq!(manager.create(Counter, 1).unwrap().get().unwrap(), 1);
    });
}

#[test]
fn the_end_of_the_server_is_an_error_of_every_call() {
    watched("the_end_of_the_server_is_an_error_of_every_call", || {
        let manager = Manager::new().unwrap();
        let (counter, unused) = (manager.create(Counter, 5).unwrap(), manager.create(Counter, 6).unwrap());
        for error in [counter.end().unwrap_err(), counter.get().unwrap_err(), unused.get().unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::EndOfStream, "{error}");
            assert!(error.to_string().contains("the manager's process has ended"), "{error}");
        }
        assert_eq!(manager.create(Counter, 1).unwrap_err().kind(), ErrorKind::EndOfStream);
        let manager = Manager::new().unwrap();
        let list = manager.list([1]).unwrap();
        manager.shutdown();
        assert_eq!(list.len().unwrap_err().kind(), ErrorKind::EndOfStream);
    });
}

/// Tells of its end by closing a pipe.
struct Noted(#[allow(dead_code)] Sender<()>);

managed! {
    trait NotedCalls for Noted {}
}

#[test]
fn objects_end_with_their_last_proxy_and_the_server_with_its_last_object() {
    fn hold((proxy, go): (Proxy<Noted>, procession::Receiver<()>)) {
        let _ = go.recv();
        drop(proxy);
    }
    watched("objects_end_with_their_last_proxy_and_the_server_with_its_last_object", || {
        let manager = Manager::new().unwrap();
        let server = manager.pid() as i32;
        let (end, alive) = Pipe::one_way().unwrap();
        let noted = manager.create(Noted, alive).unwrap();
        let (waits, go) = Pipe::one_way().unwrap();
        // One process has a proxy that it never uses.
        let mut holder = Process::spawn(hold, (noted.clone(), waits)).unwrap();
        drop(noted);
        drop(manager);
        assert!(is_running(server));
        drop(go);
        assert!(end.recv().unwrap_err().is_end_of_stream());
        assert!(holder.join().unwrap().success());
        until(|| (!is_running(server)).then_some(()));
    });
}

#[test]
fn one_that_is_killed_in_a_call_harms_nobody() {
    fn use_it((dict, kill_at, seed): (DictProxy<u64, Vec<u8>>, u64, u64)) {
        let mut random = Random(seed);
        std::thread::spawn(move || {
            let since = std::time::Instant::now();
            while since.elapsed().as_micros() < u128::from(kill_at) {
                std::hint::spin_loop();
            }
            raise(9);
        });
        loop {
            let key = random.below(8);
            dict.insert(key, vec![key as u8; random.below(100_000) as usize]).unwrap();
            assert!(dict.get(key).unwrap().unwrap().len() < 100_000);
        }
    }
    let manager = Manager::new().unwrap();
    let dict = manager.dict().unwrap();
    for_each_seed("one_that_is_killed_in_a_call_harms_nobody", 200, |seed| {
        let mut random = Random(seed);
        let mut users: Vec<Process> = (0..2)
            .map(|_| Process::spawn(use_it, (dict.clone(), random.below(4000), random.next())).unwrap())
            .collect();
        for user in &mut users {
            let status = user.join().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
        }
        for (key, value) in dict.to_map().unwrap() {
            assert!(value.iter().all(|byte| u64::from(*byte) == key));
        }
    });
}

/// Lets the process have so many descriptors.
fn limit_descriptors(pid: u32, count: usize) {
    let limit = format!("--nofile={count}:");
    assert!(
        std::process::Command::new("prlimit").args(["--pid", &pid.to_string(), &limit]).status().unwrap().success()
    );
}

#[test]
fn a_server_without_descriptors_says_so_and_goes_on() {
    watched("a_server_without_descriptors_says_so_and_goes_on", || {
        let manager = Manager::new().unwrap();
        let value = manager.value(1).unwrap();
        assert_eq!(value.get().unwrap(), 1);
        limit_descriptors(manager.pid(), 4);
        assert_eq!(manager.value(2).unwrap_err().kind(), ErrorKind::BadArgument);
        assert_eq!(value.get().unwrap(), 1);
        limit_descriptors(manager.pid(), 1024);
        assert_eq!(manager.value(3).unwrap().get().unwrap(), 3);
    });
}
