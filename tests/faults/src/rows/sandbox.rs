//! Tasks in a sandbox try what they must not.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use procession::{ErrorKind, Pool, Sandbox};

use crate::row::{Row, Run};
use crate::watch;

pub const ROW: Row = Row {
    name: "sandbox",
    promise: "a sandbox holds",
    fault: "read and write outside the grant, connect, exec, look into and signal the parent",
    must_show: "all refused",
    run,
};

/// What a task is told when it tries something: None if it could.
type Told = Option<String>;

fn told<T>(result: io::Result<T>) -> Told {
    result.err().map(|error| error.to_string())
}

fn read(path: PathBuf) -> Told {
    told(fs::read(path))
}

fn write(path: PathBuf) -> Told {
    told(fs::write(path, "changed"))
}

fn connect(port: u16) -> Told {
    told(TcpStream::connect(("127.0.0.1", port)))
}

fn connect_by_path(path: PathBuf) -> Told {
    told(UnixStream::connect(path))
}

fn connect_abstract(name: String) -> Told {
    told(SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address)))
}

fn exec(program: PathBuf) -> Told {
    told(Command::new(program).status())
}

/// What ptrace(2) is for, by the way that needs no raw system call (those are tried in crates/os).
fn look_into(pid: u32) -> Told {
    told(fs::File::open(format!("/proc/{pid}/mem")).and_then(|mut memory| {
        memory.seek(SeekFrom::Start(0x1000))?;
        memory.read(&mut [0; 8])
    }))
}

fn signal(pid: u32) -> Told {
    // SIGCONT harms nobody who runs.
    if procession_os::signal_process(pid as i32, 18) { None } else { Some("refused".to_string()) }
}

fn run(run: &Run) -> anyhow::Result<()> {
    let _watch = watch::patience("a sandbox", Duration::from_secs(120));
    let tree = tempfile::tempdir()?;
    let path = |name: &str| tree.path().join(name);
    for name in ["read", "write", "secret"] {
        fs::create_dir(path(name))?;
        fs::write(path(name).join("file"), name)?;
    }
    std::os::unix::fs::symlink(path("secret/file"), path("read/link"))?;
    let sandbox = Sandbox::compute().read(path("read")).write(path("write")).require();
    let pool = match Pool::builder().workers(2).sandbox(sandbox).build() {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            run.figure(format!("NOT COVERED here: {error}"));
            return Ok(());
        }
        pool => pool?,
    };
    let status = pool.sandbox().context("there is no sandbox")?.to_string();
    let mut refused = 0;
    let mut expect = |what: &str, is_allowed: bool, told: Result<Told, procession::Error>| {
        let told = told.with_context(|| what.to_string())?;
        ensure!(told.is_none() == is_allowed, "{what}: {}", told.as_deref().unwrap_or("it could"));
        refused += u64::from(!is_allowed);
        anyhow::Ok(())
    };
    for (name, is_granted) in [("read/file", true), ("write/file", true), ("secret/file", false), ("read/link", false)]
    {
        expect(&format!("reading {name}"), is_granted, pool.apply(read, path(name)))?;
    }
    let around = "/proc/self/root".to_string() + path("secret/file").to_str().context("a path")?;
    for outside in [around.as_str(), "/etc/passwd", "/proc/1/environ"] {
        expect(&format!("reading {outside}"), false, pool.apply(read, outside.into()))?;
    }
    for (name, is_granted) in [("write/new", true), ("read/file", false), ("secret/file", false), ("new", false)] {
        expect(&format!("writing {name}"), is_granted, pool.apply(write, path(name)))?;
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    expect("connecting by TCP", false, pool.apply(connect, listener.local_addr()?.port()))?;
    let _by_path = UnixListener::bind(path("write/socket"))?;
    expect("connecting by path", false, pool.apply(connect_by_path, path("write/socket")))?;
    let name = format!("procession-faults-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
    expect("connecting to an abstract socket", false, pool.apply(connect_abstract, name))?;
    expect("executing", false, pool.apply(exec, "/bin/true".into()))?;
    let own = std::process::id();
    let supervisor = crate::machine::supervisor().context("there is no supervisor")? as u32;
    for (who, pid) in [("the program", own), ("the supervisor", supervisor), ("process 1", 1)] {
        expect(&format!("looking into {who}"), false, pool.apply(look_into, pid))?;
        expect(&format!("signalling {who}"), false, pool.apply(signal, pid))?;
    }
    ensure!(fs::read(path("secret/file"))? == b"secret", "a secret was changed");
    run.figure(format!("{status}: {refused} attempts refused, 3 within the grant done"));
    Ok(())
}
