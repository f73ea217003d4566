//! What workers in a sandbox cannot do, and what they go on doing. What only raw system calls can try is tried in
//! crates/os.

#[path = "support/mod.rs"]
mod support;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use procession::{ErrorKind, Lock, Manager, Pipe, Pool, Process, Queue, Sandbox, Value};
use rustix::process::{Pid, Signal, kill_process};
use support::{own_pid, until, until_gone, watched};
use tempfile::TempDir;

/// `read/file`, `write/file` and `secret/file` in a folder of their own.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for name in ["read", "write", "secret"] {
        fs::create_dir(tree.path().join(name)).unwrap();
        fs::write(tree.path().join(name).join("file"), name).unwrap();
    }
    tree
}

/// A pool of one worker behind both walls; None on a kernel that has not both.
fn caged(sandbox: Sandbox) -> Option<Pool> {
    match Pool::builder().workers(1).sandbox(sandbox.require()).build() {
        Ok(pool) => Some(pool),
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::Unsupported, "{e}");
            eprintln!("left out: {e}");
            None
        }
    }
}

fn of_tree(tree: &TempDir) -> Option<Pool> {
    caged(Sandbox::compute().read(tree.path().join("read")).write(tree.path().join("write")))
}

/// "done", or the error's number.
fn told<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "done".to_string(),
        Err(e) => e.raw_os_error().map_or_else(|| e.to_string(), |code| code.to_string()),
    }
}

const EPERM: &str = "1";
const EACCES: &str = "13";

/// Task: what the standard streams lead to.
fn streams(_: ()) -> Vec<PathBuf> {
    println!("into the report");
    ["0", "1", "2"].map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap()).to_vec()
}

#[test]
fn the_programs_output_is_out_of_reach() {
    watched("the_programs_output_is_out_of_reach", || {
        let Some(pool) = caged(Sandbox::compute()) else { return };
        let streams = pool.apply(streams, ()).unwrap();
        assert_eq!(streams[0], PathBuf::from("/dev/null"));
        assert!(streams[1] == streams[2] && streams[1] != fs::read_link("/proc/self/fd/1").unwrap(), "{streams:?}");
    });
}

fn read(path: PathBuf) -> String {
    told(fs::read(path))
}

#[test]
fn what_is_not_granted_is_not_read() {
    watched("what_is_not_granted_is_not_read", || {
        let tree = tree();
        symlink(tree.path().join("secret/file"), tree.path().join("read/link")).unwrap();
        let Some(pool) = of_tree(&tree) else { return };
        let path = |name: &str| tree.path().join(name);
        for name in ["read/file", "write/file", "secret/../read/file"] {
            assert_eq!(pool.apply(read, path(name)).unwrap(), "done", "{name}");
        }
        for name in ["secret/file", "read/link", "read/../secret/file"] {
            assert_eq!(pool.apply(read, path(name)).unwrap(), EACCES, "{name}");
        }
        let root = "/proc/self/root".to_string() + path("secret/file").to_str().unwrap();
        assert_eq!(pool.apply(read, root.into()).unwrap(), EACCES);
        assert_eq!(pool.apply(read, "/etc/passwd".into()).unwrap(), EACCES);
        assert_eq!(pool.apply(|path: PathBuf| told(fs::read_dir(path)), path("secret")).unwrap(), EACCES);
        assert_eq!(pool.apply(|path: PathBuf| fs::metadata(path).unwrap().len(), path("secret/file")).unwrap(), 6);
    });
}

#[test]
fn what_is_not_granted_is_not_changed() {
    watched("what_is_not_granted_is_not_changed", || {
        let tree = tree();
        let Some(pool) = of_tree(&tree) else { return };
        let path = |name: &str| tree.path().join(name);
        let write = |path: PathBuf| told(fs::write(path, "changed"));
        for name in ["read/file", "read/new", "secret/file", "secret/new"] {
            assert_eq!(pool.apply(write, path(name)).unwrap(), EACCES, "{name}");
            assert_eq!(pool.apply(|path: PathBuf| told(File::create(path)), path(name)).unwrap(), EACCES, "{name}");
        }
        for name in ["write/file", "write/new"] {
            assert_eq!(pool.apply(write, path(name)).unwrap(), "done", "{name}");
        }
        let rename = |(from, to): (PathBuf, PathBuf)| told(fs::rename(from, to));
        assert_eq!(pool.apply(rename, (path("write/new"), path("write/file"))).unwrap(), "done");
        assert_ne!(pool.apply(rename, (path("write/file"), path("secret/file"))).unwrap(), "done");
        assert_ne!(pool.apply(rename, (path("read/file"), path("write/file"))).unwrap(), "done");
        assert_ne!(pool.apply(|path: PathBuf| told(fs::remove_file(path)), path("read/file")).unwrap(), "done");
        let chmod = |path: PathBuf| told(fs::set_permissions(path, Permissions::from_mode(0o777)));
        let own = |path: PathBuf| told(chown(path, Some(0), None));
        for name in ["read/file", "write/file", "secret/file"] {
            assert_eq!(pool.apply(chmod, path(name)).unwrap(), EPERM, "{name}");
            assert_eq!(pool.apply(own, path(name)).unwrap(), EPERM, "{name}");
        }
        // What it writes it may finish.
        let finish = |path: PathBuf| -> String {
            let file = OpenOptions::new().write(true).open(path);
            told(file.and_then(|file| {
                file.set_permissions(Permissions::from_mode(0o640))?;
                file.set_modified(SystemTime::UNIX_EPOCH)?;
                file.sync_all()
            }))
        };
        assert_eq!(pool.apply(finish, path("write/file")).unwrap(), "done");
        assert_eq!(fs::read(path("read/file")).unwrap(), b"read");
        assert_eq!(fs::read(path("secret/file")).unwrap(), b"secret");
    });
}

#[test]
fn nobody_is_connected_to() {
    watched("nobody_is_connected_to", || {
        let folder = tempfile::tempdir().unwrap();
        let Some(pool) = caged(Sandbox::compute().write(folder.path())) else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(pool.apply(|port: u16| told(TcpStream::connect(("127.0.0.1", port))), port).unwrap(), EPERM);
        assert_eq!(pool.apply(|()| told(TcpListener::bind("127.0.0.1:0")), ()).unwrap(), EPERM);
        assert_eq!(pool.apply(|()| told(UdpSocket::bind("[::1]:0")), ()).unwrap(), EPERM);
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        assert_eq!(pool.apply(|path: PathBuf| told(UnixStream::connect(path)), path.clone()).unwrap(), EPERM);
        let name = path.to_str().unwrap().to_string();
        let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let connect =
            |name: String| told(SocketAddr::from_abstract_name(name).and_then(|to| UnixStream::connect_addr(&to)));
        assert_eq!(pool.apply(connect, name).unwrap(), EPERM);
        // Only `network` reaches the port, and the internet's sockets alone.
        let Some(online) = caged(Sandbox::network()) else { return };
        assert_eq!(online.apply(|port: u16| told(TcpStream::connect(("localhost", port))), port).unwrap(), "done");
        assert_eq!(online.apply(|path: PathBuf| told(UnixStream::connect(path)), path).unwrap(), EPERM);
        assert_eq!(online.apply(read, "/etc/passwd".into()).unwrap(), EACCES);
    });
}

#[test]
fn no_program_is_executed() {
    watched("no_program_is_executed", || {
        let Some(pool) = caged(Sandbox::compute().read("/")) else { return };
        assert_eq!(pool.apply(|()| told(Command::new("/bin/true").status()), ()).unwrap(), EPERM);
        let nested: [fn(()) -> String; 3] = [
            |()| Pool::builder().workers(1).build().and_then(|pool| pool.apply(own_pid, ())).unwrap_err().to_string(),
            |()| Process::spawn(|()| (), ()).unwrap_err().to_string(),
            |()| Manager::new().map(drop).unwrap_err().to_string(),
        ];
        for start in nested {
            let error = pool.apply(start, ()).unwrap();
            assert!(error.contains("this worker is in a sandbox"), "{error}");
        }
    });
}

fn kill((pid, signal): (u32, i32)) -> String {
    let (Some(pid), Some(signal)) = (Pid::from_raw(pid as i32), Signal::from_named_raw(signal)) else {
        return "no such thing".to_string();
    };
    told(kill_process(pid, signal).map_err(io::Error::from))
}

#[test]
fn signals_reach_nobody_else() {
    watched("signals_reach_nobody_else", || {
        let (Some(pool), Some(sibling)) = (caged(Sandbox::compute()), caged(Sandbox::compute())) else { return };
        let supervisor = pool.apply(|()| std::os::unix::process::parent_id(), ()).unwrap();
        let (own, other) = (pool.apply(own_pid, ()).unwrap(), sibling.apply(own_pid, ()).unwrap());
        for victim in [std::process::id(), supervisor, other, 1] {
            for signal in [Signal::TERM, Signal::CONT] {
                assert_eq!(pool.apply(kill, (victim, signal.as_raw())).unwrap(), EPERM, "{victim}");
            }
        }
        assert_eq!(pool.apply(kill, (own, Signal::URG.as_raw())).unwrap(), "done");
        assert_eq!(sibling.apply(own_pid, ()).unwrap(), other);
        // It may end itself, and whoever comes after it is in the sandbox too.
        assert!(pool.apply(kill, (own, Signal::KILL.as_raw())).unwrap_err().failure().unwrap().is_crash());
        assert_eq!(pool.apply(kill, (other, Signal::TERM.as_raw())).unwrap(), EPERM);
        assert_ne!(pool.apply(own_pid, ()).unwrap(), own);
    });
}

#[test]
fn handles_work_as_ever() {
    watched("handles_work_as_ever", || {
        let manager = Manager::new().unwrap();
        let Ok(pool) = Pool::builder().workers(2).sandbox(Sandbox::compute().require()).build() else { return };
        let (lock, sum) = (Lock::new().unwrap(), Value::new(0u64).unwrap());
        let queue = Queue::<u64>::unbounded().unwrap();
        let results = manager.dict::<u64, u64>().unwrap();
        let context = (lock.clone(), sum.clone(), queue.clone(), results.clone());
        type Shared = (Lock, Value<u64>, Queue<u64>, procession::DictProxy<u64, u64>);
        let add = |(lock, sum, queue, results): &Shared, n: u64| {
            let _guard = lock.acquire().unwrap();
            sum.set(sum.get() + n);
            queue.put(n).unwrap();
            results.insert(n, n * n).unwrap();
        };
        pool.chunk_size(1).map_with(&context, add, 1..=100).unwrap();
        assert_eq!(sum.get(), 5050);
        let items: u64 = (0..100).map(|_| queue.get().unwrap()).sum();
        assert_eq!(items, 5050);
        assert_eq!(results.get(7).unwrap(), Some(49));
        let (ours, theirs) = Pipe::one_way::<String>().unwrap();
        let answer = pool.submit(|end: procession::Sender<String>| end.send("hello".to_string()).unwrap(), theirs);
        assert_eq!(ours.recv().unwrap(), "hello");
        answer.unwrap().wait().result.unwrap();
        let panic = pool.apply(|()| -> u64 { panic!("words") }, ()).unwrap_err().to_string();
        assert!(panic.contains("words") && panic.contains("sandbox.rs"), "{panic}");
    });
}

/// Task: dies with a lock in its hands, in a sandbox.
fn dies_with((lock, pid): (Lock, Value<u64>)) {
    let _guard = lock.acquire();
    pid.set(u64::from(std::process::id()));
    std::process::abort();
}

#[test]
fn a_lock_of_the_dead_is_seen_from_inside_and_outside() {
    watched("a_lock_of_the_dead_is_seen_from_inside_and_outside", || {
        let (Some(pool), Some(other)) = (caged(Sandbox::compute()), caged(Sandbox::compute())) else { return };
        for from_inside in [true, false] {
            let (lock, pid) = (Lock::new().unwrap(), Value::new(0).unwrap());
            assert!(pool.apply(dies_with, (lock.clone(), pid.clone())).is_err());
            until_gone(until(|| Some(pid.get()).filter(|&pid| pid > 0)) as i32);
            let died = match from_inside {
                true => other.apply(|lock: Lock| lock.acquire().is_err(), lock).unwrap(),
                false => lock.acquire().is_err(),
            };
            assert!(died, "from inside: {from_inside}");
        }
    });
}

#[test]
fn relative_paths_are_those_of_the_program() {
    watched("relative_paths_are_those_of_the_program", || {
        let Some(pool) = caged(Sandbox::compute().read("Cargo.toml")) else { return };
        let here = std::env::current_dir().unwrap();
        assert_eq!(pool.apply(read, here.join("Cargo.toml")).unwrap(), "done");
        assert_eq!(pool.apply(read, here.join("src/lib.rs")).unwrap(), EACCES);
    });
}

#[test]
fn an_initializer_is_in_the_sandbox_too() {
    watched("an_initializer_is_in_the_sandbox_too", || {
        let builder = Pool::builder().workers(1).sandbox(Sandbox::compute().require());
        let Ok(pool) = builder.initializer(read, "/etc/passwd".into()).build() else { return };
        assert_eq!(pool.apply(|()| procession::worker_state::<String>().cloned(), ()).unwrap().unwrap(), EACCES);
    });
}

#[test]
fn what_is_in_force_is_told() {
    watched("what_is_in_force_is_told", || {
        assert!(Pool::builder().workers(1).build().unwrap().sandbox().is_none());
        let pool = Pool::builder().workers(1).sandbox(Sandbox::compute()).build().unwrap();
        let status = pool.sandbox().unwrap();
        let is_caged = pool.apply(read, "/etc/passwd".into()).unwrap() == EACCES;
        assert_eq!(status.landlock_abi().is_some(), is_caged, "{status}");
        assert_eq!(status.to_string().starts_with("Landlock ABI"), is_caged, "{status}");
        let executes = pool.apply(|()| told(Command::new("/bin/true").status()), ()).unwrap();
        assert_eq!(status.has_seccomp(), executes == EPERM, "{status}");
    });
}
