//! Standard streams, closed or not, and what a program inherits.

use procession::{Pool, Process, StartMethod};

use crate::support::square;
use crate::{alone, part, program, program_after, run, watched};

fn exits(code: i32) {
    std::process::exit(code)
}

fn everything_works() {
    for method in [StartMethod::ForkServer, StartMethod::Spawn] {
        let pool = Pool::builder().workers(2).start_method(method).build().unwrap();
        assert_eq!(pool.map(square, 0..1000).unwrap().len(), 1000);
        let input = pool.apply(|()| std::io::read_to_string(std::io::stdin()).unwrap(), ()).unwrap();
        assert_eq!(input, "");
        // A worker that ends is noticed.
        assert!(pool.apply(exits, 3).unwrap_err().failure().unwrap().is_crash());
        assert_eq!(pool.apply(square, 4).unwrap(), 16);
        let status = Process::builder().start_method(method).spawn(exits, 7).unwrap().join();
        assert_eq!(status.unwrap().code(), Some(7));
        pool.join();
    }
}

fn works_after(script: &str, name: &str) {
    watched(
        name,
        || if part().is_some() { everything_works() } else { drop(run(program_after(script, name, "alone"))) },
    );
}

#[test]
fn input_may_be_closed() {
    works_after("exec <&-", "streams::input_may_be_closed");
}

#[test]
fn all_may_be_closed() {
    works_after("exec <&- >&- 2>&-", "streams::all_may_be_closed");
}

#[test]
fn signals_may_be_ignored() {
    works_after("trap \"\" CHLD TERM INT HUP PIPE QUIT", "streams::signals_may_be_ignored");
}

#[test]
fn what_a_worker_says_is_passed_on() {
    const NAME: &str = "streams::what_a_worker_says_is_passed_on";
    watched(NAME, || {
        if part().is_none() {
            let output = run(program(NAME, "alone"));
            let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            for n in 0..50 {
                assert!(errors.contains(&format!("an error of {n}\n")), "{n} in {errors}");
                assert!(text.contains(&format!("a line of {n}\n")), "{n} in {text}");
            }
            assert!(errors.contains("a process says so"), "{errors}");
            return;
        }
        // One worker: the words of several may come in between each other's.
        let pool = Pool::builder().workers(1).build().unwrap();
        let says = |n: u64| {
            eprintln!("an error of {n}");
            println!("a line of {n}");
        };
        pool.map(says, 0..50).unwrap();
        Process::spawn(|()| eprintln!("a process says so"), ()).unwrap().join().unwrap();
        pool.join();
    });
}

#[test]
fn a_flood_of_words_holds_up_nobody() {
    alone("streams::a_flood_of_words_holds_up_nobody", || {
        let pool = Pool::builder().workers(2).build().unwrap();
        let flood = |n: u64| {
            let line = "x".repeat(1000);
            (0..2000).for_each(|_| eprintln!("{line}"));
            n
        };
        let task = pool.submit(flood, 7).unwrap();
        while !task.is_ready() {
            assert_eq!(pool.apply(square, 3).unwrap(), 9);
        }
        assert_eq!(task.wait().result, Ok(7));
    });
}

fn says_so_and_crashes(_: ()) {
    eprintln!("last words");
    std::process::abort();
}

#[test]
fn standard_error_may_be_held_by_the_program() {
    alone("streams::standard_error_may_be_held_by_the_program", || {
        let pool = Pool::builder().workers(2).build().unwrap();
        let held = std::io::stderr().lock();
        for _ in 0..3 {
            let failure = pool.apply(says_so_and_crashes, ()).unwrap_err();
            assert!(failure.failure().unwrap().is_crash());
        }
        assert_eq!(pool.map(square, 0..100).unwrap().len(), 100);
        drop(held);
    });
}
