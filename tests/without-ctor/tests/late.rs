//! A program that has other threads at `init` gets its workers by `spawn`, and a warning.

use std::process::Command;
use std::sync::mpsc;

use procession::{Pool, Process};

fn add_one(n: u64) -> u64 {
    n + 1
}

fn main() {
    // In the program, the supervisor and the workers alike, as with an async runtime around main.
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || stopped.recv());
    procession::init();
    if std::env::args().nth(1).as_deref() == Some("inner") {
        let pool = Pool::builder().workers(2).build().expect("a pool starts");
        assert_eq!(pool.map(add_one, 0..1000).expect("all are done"), (1..=1000).collect::<Vec<_>>());
        assert!(Process::spawn(|_: ()| (), ()).expect("a process starts").join().expect("it ends").success());
    } else {
        let program = std::env::current_exe().expect("this test has a path");
        let output = Command::new(program).arg("inner").output().expect("it starts again");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        assert_eq!(errors.matches("`spawn` instead of `forkserver`").count(), 1, "{errors}");
        println!("test result: ok. 1 passed; 0 failed");
    }
    drop(stop);
    let _ = thread.join();
}
