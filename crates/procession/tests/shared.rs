//! Shared memory between real processes: what one writes others see, what a killed one leaves is told and cleared up.

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use procession::{
    Array, ErrorKind, Pool, Process, SharedBuffer, SharedMemory, SharedPart, SharedSlice, StartMethod, Value,
};
use support::{Gate, Random, arrive, for_each_seed, pass, until, until_gone, watched};

const METHODS: [StartMethod; 2] = [StartMethod::ForkServer, StartMethod::Spawn];

fn pool(method: StartMethod) -> Pool {
    Pool::builder().workers(2).start_method(method).build().unwrap()
}

fn spin(times: u64) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

fn sum((slice, from, to): (SharedSlice<u32>, usize, usize)) -> u64 {
    slice[from..to].iter().map(|&n| u64::from(n)).sum()
}

#[test]
fn a_slice_is_read_by_all() {
    watched("a_slice_is_read_by_all", || {
        let numbers: Vec<u32> = (0..100_000).collect();
        let slice = SharedSlice::from_slice(&numbers).unwrap();
        for method in METHODS {
            let parts = (0..10).map(|n| (slice.clone(), n * 10_000, (n + 1) * 10_000));
            let sums = pool(method).map(sum, parts).unwrap();
            assert_eq!(sums.iter().sum::<u64>(), numbers.iter().map(|&n| u64::from(n)).sum());
        }
        let check = |(slice, len): (SharedSlice<u32>, usize)| assert!(slice.len() == len && slice[len - 1] == 99_999);
        assert!(Process::spawn(check, (slice, 100_000)).unwrap().join().unwrap().success());
    });
}

#[test]
fn a_large_slice_is_not_copied() {
    watched("a_large_slice_is_not_copied", || {
        const LEN: usize = 1 << 30;
        let mut buffer = SharedBuffer::<u8>::zeroed(LEN).unwrap();
        buffer[LEN - 1] = 9;
        let slice = buffer.freeze().unwrap();
        // A copy would be more than the worker may have.
        let look = |slice: SharedSlice<u8>| {
            let peak = std::fs::read_to_string("/proc/self/status").unwrap();
            let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().to_string();
            (slice[LEN - 1], peak.trim_end_matches(" kB").parse::<u64>().unwrap())
        };
        let (last, peak_kib) = pool(StartMethod::Spawn).apply(look, slice).unwrap();
        assert_eq!(last, 9);
        assert!(peak_kib < 512 << 10, "{peak_kib} KiB");
    });
}

fn fill(part: SharedPart<u64>) {
    let range = part.range();
    let mut items = part.lock().unwrap();
    items.iter_mut().zip(range).for_each(|(item, n)| *item += n as u64);
}

#[test]
fn parts_are_filled_by_tasks() {
    watched("parts_are_filled_by_tasks", || {
        for (method, parts) in METHODS.into_iter().zip([3, 300]) {
            let mut buffer = SharedBuffer::<u64>::zeroed(100_001).unwrap();
            buffer.fill(1);
            let whole = buffer.split(parts).unwrap();
            let pool = pool(method);
            pool.map(fill, whole.parts().unwrap()).unwrap();
            let all = whole.freeze().unwrap();
            assert!(all.iter().zip(1..).all(|(&item, n)| item == n));
            assert_eq!(pool.apply(|all: SharedSlice<u64>| all[100_000], all).unwrap(), 100_001);
        }
    });
}

/// Takes a part, changes it, says so, and stays with it until it is let go.
fn keep((part, gate): (SharedPart<u64>, PathBuf)) {
    let mut items = part.lock().unwrap();
    items[0] = 77;
    arrive(&gate, "here");
    pass(&gate);
}

#[test]
fn a_part_of_a_killed_process_is_given_to_the_next() {
    watched("a_part_of_a_killed_process_is_given_to_the_next", || {
        let (whole, gate) = (SharedBuffer::<u64>::zeroed(10).unwrap().split(2).unwrap(), Gate::new());
        let part = || whole.parts().unwrap().swap_remove(1);
        let mut process = Process::spawn(keep, (part(), gate.path())).unwrap();
        gate.wait_for_arrivals(1);
        assert!(part().try_lock().is_none(), "it lives");
        let error = whole.freeze().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy);
        process.kill();
        // Perhaps before it is dead.
        let part = part();
        let died = part.lock().unwrap_err();
        assert_eq!(died.guard()[0], 77);
        died.guard().clear_poison();
        drop(died);
        drop(part);
        process.join().unwrap();
        assert_eq!(whole.freeze().unwrap()[5], 77);
    });
}

/// Writes the same number to all of a part, again and again, under its lock.
fn scribble(part: SharedPart<u64>) {
    for n in 0.. {
        let mut items = part.lock().unwrap_or_else(|died| {
            died.guard().clear_poison();
            died.into_guard()
        });
        items.fill(n);
    }
}

#[test]
fn killed_holders_of_parts() {
    let method = |random: &mut Random| METHODS[random.below(2) as usize];
    let found = AtomicUsize::new(0);
    for_each_seed("killed_holders_of_parts", 200, |seed| {
        let mut random = Random(seed);
        let whole = SharedBuffer::<u64>::zeroed(2000).unwrap().split(1).unwrap();
        let part = whole.parts().unwrap().swap_remove(0);
        let mut processes: Vec<_> = (0..2)
            .map(|_| Process::builder().start_method(method(&mut random)).spawn(scribble, part.clone()).unwrap())
            .collect();
        for process in &mut processes {
            spin(random.below(300_000));
            process.kill();
            match part.lock() {
                // Nobody was killed while it held the part, or the other one has repaired it.
                Ok(items) => assert!(items.iter().all(|&n| n == items[0]), "half changed, without a notice"),
                Err(died) => {
                    found.fetch_add(1, Ordering::Relaxed);
                    let mut items = died.into_guard();
                    items.fill(1);
                    items.clear_poison();
                }
            }
        }
        processes.iter_mut().for_each(|process| assert!(!process.join().unwrap().success()));
        drop(part);
        assert_eq!(whole.freeze().unwrap().len(), 2000);
    });
    println!("{} were found to have died with a part", found.into_inner());
}

fn count((counter, total, lengths): (Value<u64>, Value<[u64; 3]>, Array<u32>)) {
    for n in 0..500 {
        counter.fetch_add(1);
        total.update(|sums| sums[1] += 2);
        lengths.fetch_add(n % 10, 1);
        let mut guard = lengths.get_lock().unwrap();
        let last = guard.get(10).unwrap();
        guard.set(10, last + 1);
    }
}

#[test]
fn values_and_arrays_are_changed_by_all() {
    watched("values_and_arrays_are_changed_by_all", || {
        for method in METHODS {
            let counter = Value::new(0u64).unwrap();
            let total = Value::new([0u64; 3]).unwrap();
            let lengths = Array::<u32>::new(11).unwrap();
            let mut processes: Vec<_> = (0..3)
                .map(|_| {
                    let argument = (counter.clone(), total.clone(), lengths.clone());
                    Process::builder().start_method(method).spawn(count, argument).unwrap()
                })
                .collect();
            assert!(processes.iter_mut().all(|process| process.join().unwrap().success()));
            assert_eq!((counter.get(), total.get()), (1500, [0, 3000, 0]));
            assert_eq!(lengths.to_vec(), [150, 150, 150, 150, 150, 150, 150, 150, 150, 150, 1500]);
        }
    });
}

fn square((numbers, part): (Array<f64>, usize)) {
    for n in part * 25_000..(part + 1) * 25_000 {
        numbers.set(n, numbers.get(n).unwrap().powi(2));
    }
}

#[test]
fn an_array_is_squared_in_place() {
    watched("an_array_is_squared_in_place", || {
        let numbers = Array::from_slice(&(0..100_000).map(f64::from).collect::<Vec<_>>()).unwrap();
        pool(StartMethod::ForkServer).map(square, (0..4).map(|part| (numbers.clone(), part))).unwrap();
        assert!(numbers.iter().zip(0..).all(|(number, n)| number == f64::from(n) * f64::from(n)));
    });
}

/// Sets all eight words to the same, in each of the ways that there are.
fn set_whole(value: Value<[u64; 8]>) {
    for n in 0.. {
        match n % 3 {
            0 => value.set([n; 8]),
            1 => value.update(|words| words.fill(n)),
            _ => {
                let mut guard = value.get_lock().unwrap_or_else(|died| died.into_guard());
                guard.iter_mut().for_each(|word| *word = n);
            }
        }
    }
}

#[test]
fn values_of_killed_processes_are_whole() {
    for_each_seed("values_of_killed_processes_are_whole", 200, |seed| {
        let mut random = Random(seed);
        let value = Value::new([0u64; 8]).unwrap();
        let mut processes: Vec<_> = (0..2).map(|_| Process::spawn(set_whole, value.clone()).unwrap()).collect();
        for process in &mut processes {
            spin(random.below(300_000));
            process.kill();
            let found = value.get();
            assert_eq!(found, [found[0]; 8]);
        }
        // However it was left, it goes on.
        value.set([5; 8]);
        processes.iter_mut().for_each(|process| assert!(!process.join().unwrap().success()));
        let found = value.update(|words| std::mem::replace(words, [7; 8]));
        assert_eq!(found, [found[0]; 8]);
        drop(value.get_lock().unwrap_or_else(|died| died.into_guard()));
        assert_eq!(value.get(), [7; 8]);
    });
}

fn is_there(name: &str) -> bool {
    std::path::Path::new("/dev/shm").join(name).exists()
}

#[test]
fn named_memory_is_attached_by_name_or_handle() {
    watched("named_memory_is_attached_by_name_or_handle", || {
        let memory = SharedMemory::create(None, 100).unwrap();
        let write = |(memory, name): (SharedMemory, String)| {
            memory.write(0, b"by handle").unwrap();
            SharedMemory::attach(&name).unwrap().write(50, b"by name").unwrap();
        };
        let mut process = Process::spawn(write, (memory.clone(), memory.name().to_string())).unwrap();
        assert!(process.join().unwrap().success());
        let mut bytes = [0; 100];
        memory.read(0, &mut bytes).unwrap();
        assert!(bytes.starts_with(b"by handle") && bytes[50..].starts_with(b"by name"));
        assert!(is_there(memory.name()), "a worker does not own what it is sent");
        // What a worker has made is gone when it drops it.
        let create = |_: ()| SharedMemory::create(None, 10).unwrap().name().to_string();
        let name = pool(StartMethod::ForkServer).apply(create, ()).unwrap();
        until(|| (!is_there(&name)).then_some(()));
    });
}

fn python(script: &str, name: &str) -> String {
    // Python before 3.13 unlinks what it has attached to, unless it is told not to.
    let attach = "import sys\nfrom multiprocessing import resource_tracker, shared_memory\n\
                  def attach():\n    shm = shared_memory.SharedMemory(sys.argv[1])\n    \
                  resource_tracker.unregister(shm._name, 'shared_memory')\n    return shm\n";
    let output = Command::new("python3").args(["-c", &format!("{attach}{script}"), name]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn python_attaches_to_ours() {
    watched("python_attaches_to_ours", || {
        let ours = SharedMemory::create(None, 5000).unwrap();
        ours.write(10, b"from Rust").unwrap();
        let script =
            "shm = attach()\nprint(shm.size, bytes(shm.buf[10:19]).decode())\nshm.buf[4990:5000] = b'from Pytho'\n";
        assert_eq!(python(script, ours.name()), "5000 from Rust\n");
        let mut bytes = [0; 10];
        ours.read(4990, &mut bytes).unwrap();
        assert_eq!(&bytes, b"from Pytho");
        assert!(is_there(ours.name()));
    });
}

#[test]
fn we_attach_to_pythons() {
    watched("we_attach_to_pythons", || {
        let script = "from multiprocessing import shared_memory\nshm = shared_memory.SharedMemory(create=True, size=5000)\n\
                      shm.buf[0:11] = b'from Python'\nprint(shm.name, flush=True)\ninput()\n\
                      print(bytes(shm.buf[4991:5000]).decode())\nshm.close(); shm.unlink()\n";
        let mut python =
            Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(python.stdout.take().unwrap()));
        let name = lines.next().unwrap().unwrap();
        let theirs = SharedMemory::attach(&name).unwrap();
        let mut bytes = [0; 11];
        theirs.read(0, &mut bytes).unwrap();
        assert_eq!((&bytes, theirs.len()), (b"from Python", 5000));
        theirs.write(4991, b"from Rust").unwrap();
        drop(theirs);
        assert!(is_there(&name), "it is Python's");
        std::io::Write::write_all(&mut python.stdin.take().unwrap(), b"\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "from Rust");
        assert!(python.wait().unwrap().success() && !is_there(&name));
    });
}

/// Tells a program of this binary where to note the names of what it makes, and how to end.
const GATE: &str = "PROCESSION_TEST_GATE";
const PART: &str = "PROCESSION_TEST_PART";

/// What such a program does.
fn make_and_end(gate: PathBuf, part: &str) {
    let memories: Vec<_> = (0..3).map(|_| SharedMemory::create(None, 1000).unwrap()).collect();
    // One is gone, and its name is that of another's memory by then.
    let gone = SharedMemory::create(None, 1).unwrap();
    let name = gone.name().to_string();
    drop(gone);
    memories.iter().for_each(|memory| arrive(&gate, memory.name()));
    arrive(&gate, &format!("not-{name}"));
    match part {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "supervisor" => {
            let supervisor = *procession_os::children_of_all()[&(std::process::id() as i32)].first().unwrap();
            procession_os::signal_process(supervisor, 9);
            until_gone(supervisor);
            // The next supervisor is told of the others too.
            let another = SharedMemory::create(None, 1000).unwrap();
            arrive(&gate, another.name());
            pass(&gate);
        }
        _ => pass(&gate),
    }
}

#[test]
fn names_go_with_their_owner() {
    watched("names_go_with_their_owner", || {
        if let (Some(gate), Ok(part)) = (std::env::var_os(GATE), std::env::var(PART)) {
            return make_and_end(gate.into(), &part);
        }
        for (part, count) in [("exit", 4), ("abort", 4), ("kill", 4), ("supervisor", 5)] {
            let gate = Gate::new();
            let mut program = Command::new(std::env::current_exe().unwrap())
                .args(["names_go_with_their_owner", "--exact", "--test-threads=1"])
                .envs([(GATE, gate.path().as_os_str()), (PART, part.as_ref())])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut names = gate.wait_for_arrivals(count);
            let other = names.iter().position(|name| name.starts_with("not-")).unwrap();
            let other = names.swap_remove(other).split_off("not-".len());
            std::fs::write(format!("/dev/shm/{other}"), "another's").unwrap();
            if !matches!(part, "exit" | "abort") {
                assert!(names.iter().all(|name| is_there(name)), "{part}: {names:?}");
            }
            program.kill().unwrap();
            program.wait().unwrap();
            for name in names {
                until(|| (!is_there(&name)).then_some(()));
            }
            assert!(is_there(&other));
            std::fs::remove_file(format!("/dev/shm/{other}")).unwrap();
        }
    });
}

/// Makes and drops memory with names, from several threads, and says which.
fn make_many(gate: PathBuf) {
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let gate = &gate;
            scope.spawn(move || {
                for n in 0.. {
                    let name = format!("procession-{}-{thread}-{n}", gate.file_name().unwrap().to_string_lossy());
                    let memory = SharedMemory::create(&*name, 10).unwrap();
                    if n == 0 {
                        arrive(gate, &thread.to_string());
                    }
                    memory.write(0, b"x").unwrap();
                }
            });
        }
    });
}

#[test]
fn owners_are_killed_at_any_moment() {
    if let Some(gate) = std::env::var_os(GATE) {
        return make_many(gate.into());
    }
    for_each_seed("owners_are_killed_at_any_moment", 200, |seed| {
        let mut random = Random(seed);
        let gate = Gate::new();
        let mut program = Command::new(std::env::current_exe().unwrap())
            .args(["owners_are_killed_at_any_moment", "--exact", "--test-threads=1"])
            .env(GATE, gate.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        gate.wait_for_arrivals(1 + random.below(2) as usize);
        spin(random.below(100_000));
        let below = procession_os::descendants(&procession_os::children_of_all(), program.id() as i32);
        program.kill().unwrap();
        program.wait().unwrap();
        below.into_iter().for_each(until_gone);
        // The supervisor has ended, and with it all that it does.
        let prefix = format!("procession-{}-", gate.path().file_name().unwrap().to_string_lossy());
        let names = std::fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(&prefix)).collect();
        assert!(left.is_empty(), "{left:?}");
    });
}

/// A worker owns named memory, and so has a supervisor of its own, which outlives it by just that.
#[test]
fn memory_of_a_worker_ends_with_its_pool() {
    fn own(_: ()) -> String {
        let memory = SharedMemory::create(None, 4096).unwrap();
        let name = memory.name().to_string();
        // It is not dropped with the task.
        std::mem::forget(memory);
        name
    }
    watched("memory_of_a_worker_ends_with_its_pool", || {
        for round in 0..30 {
            let pool = pool(METHODS[round % 2]);
            let name = pool.apply(own, ()).unwrap();
            assert!(SharedMemory::attach(&name).is_ok());
            drop(pool);
            until(|| SharedMemory::attach(&name).is_err().then_some(()));
        }
    });
}
