//! A program that forgets `init`, or calls it only when it is not a worker, gets a clear error and no storm of processes.

use procession::{ErrorKind, Pool, Process};

fn main() {
    let never = Pool::new().expect_err("init was not called");
    assert_eq!(never.kind(), ErrorKind::NotInitialized);
    assert!(never.to_string().contains("call it first in main"), "{never}");
    let never = Process::spawn(|_: ()| (), ()).expect_err("init was not called");
    assert_eq!(never.kind(), ErrorKind::NotInitialized);
    let never = procession::forkserver::ensure_running().expect_err("init was not called");
    assert_eq!(never.kind(), ErrorKind::NotInitialized);

    // The supervisor is this program with an argument: it comes here too, and ends without having called `init`.
    if std::env::args().len() > 1 {
        return;
    }
    procession::init();
    let pool = Pool::builder().workers(2).build().expect("the pool does not wait for its workers");
    let broken = pool.map(|n: u64| n, 0..10).expect_err("there are no workers");
    assert_eq!(broken.kind(), ErrorKind::Broken);
    assert!(broken.to_string().contains("init()"), "{broken}");
    let broken = Process::spawn(|_: ()| (), ()).expect_err("there is no supervisor");
    assert!(broken.to_string().contains("init()"), "{broken}");
    println!("test result: ok. 5 passed; 0 failed");
}
