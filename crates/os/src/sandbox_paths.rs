//! Which files a sandboxed thread may reach, by Landlock (landlock(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::fs::{FileType, Mode, OFlags, Stat};

/// The newest rights that we ask for; a kernel that knows fewer gives those that it knows.
const NEWEST: ABI = ABI::V9;
/// statfs(2): the file system at /proc (linux/magic.h).
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// What is granted: files, or folders with all that is below them. Symbolic links lead to their targets, and what does
/// not exist when the grant is put in force is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct PathGrants<'a> {
    /// To read.
    pub read: &'a [PathBuf],
    /// To read, write, make, rename and remove.
    pub write: &'a [PathBuf],
    /// Whether TCP ports can be used.
    pub network: bool,
    /// Whether truncation is looked at. If not then something else must refuse it
    /// ([`confine_calls`](crate::confine_calls)), and files are opened faster: the kernel looks for the right to truncate
    /// whenever one is opened, up to the root if it is not granted.
    pub truncates: bool,
}

/// Lets the calling thread, and what it starts from now on, open nothing but what is granted. What is open stays so. By
/// kernels that know how (ABI 6) signals and abstract sockets reach nobody outside of the sandbox either.
///
/// # Errors
/// When the kernel has no Landlock, or refuses.
pub fn confine_paths(grants: PathGrants<'_>) -> io::Result<()> {
    let mut handled = AccessFs::from_all(NEWEST);
    if !grants.truncates {
        handled.remove(AccessFs::Truncate);
    }
    let mut ruleset = Ruleset::default().handle_access(handled).map_err(io::Error::other)?;
    if !grants.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST)).map_err(io::Error::other)?;
    }
    let mut ruleset = ruleset.scope(Scope::from_all(NEWEST)).and_then(Ruleset::create).map_err(io::Error::other)?;
    for (paths, rights) in [(grants.read, rights_to_read()), (grants.write, rights_to_write())] {
        for path in paths {
            let Some((fd, stat)) = open(path) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode).is_dir();
            let rights = if is_folder { rights } else { rights & AccessFs::from_file(NEWEST) };
            ruleset = ruleset.add_rule(PathBeneath::new(fd.as_fd(), rights)).map_err(io::Error::other)?;
            if (is_folder || stat.st_size == 0) && is_proc(&fd) {
                // What nobody has open there the kernel forgets, and the grant with it.
                std::mem::forget(fd);
            }
        }
    }
    let status = ruleset.restrict_self().map_err(io::Error::other)?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel has no Landlock")),
        _ => Ok(()),
    }
}

/// What is wrong with Landlock, or its version. Confines the calling thread.
pub(crate) fn try_landlock() -> Result<u32, String> {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))
        .and_then(Ruleset::create)
        .and_then(|ruleset| ruleset.restrict_self());
    match restricted.map(|status| status.landlock) {
        Ok(LandlockStatus::Available { effective_abi, .. }) => Ok(effective_abi as u32),
        Ok(LandlockStatus::NotEnabled) => Err("the kernel's Landlock is turned off (lsm= at boot)".to_string()),
        Ok(LandlockStatus::NotImplemented) => Err("the kernel has no Landlock".to_string()),
        Err(e) => Err(format!("the kernel's Landlock refuses: {e}")),
    }
}

fn rights_to_read() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

fn rights_to_write() -> BitFlags<AccessFs> {
    rights_to_read()
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}

/// A descriptor that names a file and opens nothing.
fn open(path: &Path) -> Option<(OwnedFd, Stat)> {
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let stat = rustix::fs::fstat(&fd).ok()?;
    Some((fd, stat))
}

fn is_proc(fd: &OwnedFd) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|system| system.f_type as u64 == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

    use super::*;

    struct Tree(PathBuf);

    impl Tree {
        /// A folder with `read/file`, `write/file` and `secret/file`.
        fn new(name: &str) -> Tree {
            let root = std::env::temp_dir().join(format!("procession-{name}-{}", std::process::id()));
            for folder in ["read", "write", "secret"] {
                fs::create_dir_all(root.join(folder)).unwrap();
                fs::write(root.join(folder).join("file"), folder).unwrap();
            }
            Tree(root)
        }

        fn join(&self, path: &str) -> PathBuf {
            self.0.join(path)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Runs `test` in a thread of its own that reaches only what is granted; None if the kernel has no Landlock.
    fn caged<T: Send + 'static>(
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
        test: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        crate::SandboxSupport::look().landlock.as_ref().ok()?;
        let run = move || {
            confine_paths(PathGrants { read: &read, write: &write, network: false, truncates: true }).unwrap();
            test()
        };
        Some(std::thread::spawn(run).join().unwrap())
    }

    fn is_refused<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|e| e.raw_os_error() == Some(libc::EACCES))
    }

    #[test]
    fn a_grant_ends_at_its_folder() {
        let tree = Tree::new("grants");
        symlink(tree.join("secret/file"), tree.join("read/link")).unwrap();
        symlink(tree.join("read/file"), tree.join("named")).unwrap();
        let root = tree.0.clone();
        let join = move |path: &str| root.join(path);
        // The file by a link that is granted itself, a folder that is not there, and one to write.
        let (read, write) = (vec![tree.join("named"), tree.join("gone"), tree.join("read")], vec![tree.join("write")]);
        caged(read, write, move || {
            for path in ["read/file", "named", "write/file", "secret/../read/file"] {
                assert!(fs::read(join(path)).is_ok(), "{path}");
            }
            let outside = ["secret/file", "read/link", "read/../secret/file", "write/../../etc/passwd"];
            for path in
                outside.map(&join).into_iter().chain(["/etc/passwd".into(), "/proc/self/root/etc/passwd".into()])
            {
                assert!(is_refused(File::open(&path)) || !path.exists(), "{path:?}");
                assert!(is_refused(fs::OpenOptions::new().append(true).open(&path)) || !path.exists(), "{path:?}");
            }
            assert!(is_refused(fs::read_dir(join("secret"))) && is_refused(fs::read_dir("/")));
            assert!(fs::metadata(join("secret/file")).is_ok(), "to look at a file needs no grant");
            assert!(is_refused(fs::write(join("read/file"), "")) && is_refused(fs::write(join("read/new"), "")));
            assert!(is_refused(fs::remove_file(join("read/file"))) && is_refused(fs::create_dir(join("secret/new"))));
            fs::create_dir(join("write/new")).unwrap();
            fs::write(join("write/new/file"), "new").unwrap();
            fs::rename(join("write/new/file"), join("write/file")).unwrap();
            fs::remove_dir(join("write/new")).unwrap();
            assert!(fs::rename(join("write/file"), join("secret/file")).is_err());
            assert!(fs::hard_link(join("secret/file"), join("write/hard")).is_err());
        });
        assert_eq!(fs::read(tree.join("secret/file")).unwrap(), b"secret");
    }

    #[test]
    fn files_of_proc_stay_granted() {
        let paths = ["/proc/version", "/proc/sys/kernel"].map(PathBuf::from);
        caged(paths.to_vec(), Vec::new(), || {
            for _ in 0..3 {
                assert!(fs::read("/proc/version").is_ok() && fs::read("/proc/sys/kernel/ostype").is_ok());
            }
            assert!(is_refused(fs::read("/proc/uptime")));
        });
    }

    #[test]
    fn what_is_open_stays_open() {
        let tree = Tree::new("open");
        let file = File::open(tree.join("secret/file")).unwrap();
        let folder = File::open(tree.join("secret")).unwrap();
        let read = caged(Vec::new(), Vec::new(), move || {
            let by_folder = rustix::fs::openat(&folder, "file", OFlags::RDONLY, Mode::empty()).map_err(io::Error::from);
            (io::read_to_string(&file).unwrap(), is_refused(by_folder))
        });
        assert!(read.is_none_or(|read| read == ("secret".to_string(), true)));
    }

    #[test]
    fn abstract_sockets_and_ports_are_out_of_reach() {
        let name = format!("procession-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _listener = UnixListener::bind_addr(&address).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap();
        assert!(UnixStream::connect_addr(&address).is_ok());
        let abi = crate::SandboxSupport::look().landlock.clone().unwrap_or(0);
        let tried = caged(Vec::new(), Vec::new(), move || {
            (UnixStream::connect_addr(&address).is_ok(), is_refused(std::net::TcpStream::connect(port)))
        });
        let Some((reaches_abstract, refuses_tcp)) = tried else { return };
        assert_eq!((reaches_abstract, refuses_tcp), (abi < 6, abi >= 4));
    }
}
