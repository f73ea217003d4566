//! What the workers of a pool may reach.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf, absolute};
use std::sync::atomic::{AtomicBool, Ordering};

use procession_os::{Identity, PathGrants, SandboxSupport};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind};

/// More paths than these are not granted one by one: each costs 5 us whenever a worker starts.
const MAX_PATHS: usize = 256;

/// What each worker of a pool may reach, from its start to its end: for tasks that read what strangers have made.
///
/// A sandbox is put in force once, when a worker starts, before its initializer, and cannot be taken back; a task costs
/// nothing more in it. Inside, a worker computes, and reaches what it has open, what arguments hand over (ends of a
/// [`Pipe`](crate::Pipe), locks, a [`Queue`](crate::Queue), proxies of a [`Manager`](crate::Manager)...), and the paths that
/// are granted. It executes no program (so it can have no [`Process`](crate::Process), [`Pool`](crate::Pool) or `Manager`
/// of its own), sends signals to nobody else, traces nobody, and changes the permissions and times of files only through
/// descriptors. What it prints goes to its standard error, not into the program's output. That a file is there, and how large it is, it may find out of every file.
///
/// Two walls of the kernel do this: Landlock (landlock(7)) guards paths, and from ABI 4 on ports, from ABI 6 on signals
/// and abstract sockets; seccomp (seccomp(2)) refuses system calls that computing does not need. By default a pool takes
/// what the kernel gives, and [`Pool::sandbox`](crate::Pool::sandbox) tells what that is; with [`Sandbox::require`] there
/// is no pool without both.
///
/// What Landlock does not know before ABI 3 (Linux 6.2) is truncation: there a worker can make any file empty that its
/// user may write.
///
/// # Examples
/// ```
/// # procession::init();
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("numbers"), "1 2 3")?;
/// use procession::{Pool, Sandbox};
///
/// fn sum(path: String) -> Result<u64, String> {
///     let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
///     Ok(text.split_whitespace().filter_map(|word| word.parse::<u64>().ok()).sum())
/// }
///
/// let pool = Pool::builder().workers(1).sandbox(Sandbox::compute().read(folder.path())).build()?;
/// assert_eq!(pool.apply(sum, folder.path().join("numbers").display().to_string())?, Ok(6));
/// if pool.sandbox().is_some_and(|status| status.landlock_abi().is_some()) {
///     assert!(pool.apply(sum, "/etc/passwd".to_string())?.is_err());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    has_network: bool,
    is_required: bool,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// What `network` reads beside what is granted: names, services and trusted certificates.
const NETWORK_PATHS: [&str; 15] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/ca-certificates",
    "/etc/pki/tls",
    "/etc/pki/ca-trust",
    "/usr/share/ca-certificates",
];

impl Sandbox {
    /// No paths, no network: what is granted is added by [`Sandbox::read`] and [`Sandbox::write`].
    pub fn compute() -> Sandbox {
        Sandbox { has_network: false, is_required: false, read: Vec::new(), write: Vec::new() }
    }

    /// As [`Sandbox::compute`], but with sockets of IPv4 and IPv6 (TCP and UDP), and with the files that tell names and
    /// trusted certificates (`/etc/hosts`, `/etc/resolv.conf`, `/etc/ssl/certs`...).
    pub fn network() -> Sandbox {
        let read = NETWORK_PATHS.iter().map(PathBuf::from).collect();
        Sandbox { has_network: true, read, ..Sandbox::compute() }
    }

    /// Lets workers read a file, or a folder with all that is below it. A symbolic link leads to its target; links within
    /// the folder to what is granted too. What does not exist when a worker starts is not granted to it, nor is a file that
    /// takes another's place later.
    ///
    /// If more than 256 paths are granted then the folders of files are, instead of the files.
    pub fn read(mut self, path: impl Into<PathBuf>) -> Sandbox {
        self.read.push(path.into());
        self
    }

    /// Lets workers read, write, make, rename and remove a file, or all that is below a folder. As [`Sandbox::read`] for
    /// the rest.
    pub fn write(mut self, path: impl Into<PathBuf>) -> Sandbox {
        self.write.push(path.into());
        self
    }

    /// Makes [`PoolBuilder::build`](crate::PoolBuilder::build) fail if the kernel does not give all: Landlock, of any ABI,
    /// and seccomp. Default: what it gives.
    pub fn require(mut self) -> Sandbox {
        self.is_required = true;
        self
    }

    /// The walls for workers that start from now on, and what they are.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if a wall is missing that is required; [`ErrorKind::BadArgument`] for an empty path.
    pub(crate) fn build(&self, is_inline: bool) -> Result<(Walls, SandboxStatus), Error> {
        let SandboxSupport { landlock, seccomp } = match is_inline {
            true => {
                let none = || "an inline pool has no workers".to_string();
                SandboxSupport { landlock: Err(none()), seccomp: Err(none()) }
            }
            false => SandboxSupport::look().clone(),
        };
        let status = SandboxStatus { landlock, seccomp };
        if self.is_required
            && let Some(missing) = status.missing()
        {
            let message = format!("failed to put the workers into a sandbox: {missing}");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let walls = Walls {
            has_landlock: status.landlock.is_ok(),
            has_seccomp: status.seccomp.is_ok(),
            has_network: self.has_network,
            read: all_or_folders(&self.read)?,
            write: all_or_folders(&self.write)?,
        };
        Ok((walls, status))
    }
}

/// The paths, absolute, for a worker may have another folder; of very many the folders.
fn all_or_folders(paths: &[PathBuf]) -> Result<Vec<OsString>, Error> {
    let absolute = |path: &PathBuf| {
        if path.is_absolute() {
            return Ok(path.clone());
        }
        absolute(path).map_err(|e| {
            let message = format!("failed to grant `{}` to workers: {e}", path.display());
            Error::with_source(ErrorKind::BadArgument, message, e)
        })
    };
    let paths = paths.iter().map(absolute).collect::<Result<Vec<PathBuf>, Error>>()?;
    if paths.len() <= MAX_PATHS {
        return Ok(paths.into_iter().map(PathBuf::into_os_string).collect());
    }
    let mut granted = BTreeSet::new();
    let mut by_folder: HashMap<OsString, Vec<PathBuf>> = HashMap::new();
    for path in paths {
        match path.parent().map(|folder| folder.as_os_str().to_os_string()) {
            Some(folder) => by_folder.entry(folder).or_default().push(path),
            None => drop(granted.insert(path.into_os_string())),
        }
    }
    for (folder, paths) in by_folder {
        let files = files_of(Path::new(&folder), paths.len());
        let is_file = |path: &PathBuf| match (&files, path.file_name()) {
            (Some(files), Some(name)) => files.contains(name),
            _ => path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()),
        };
        // The target of a link is elsewhere, and a folder is more than its files.
        let (files, others): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(is_file);
        granted.extend(others.into_iter().map(PathBuf::into_os_string));
        granted.extend((!files.is_empty()).then_some(folder));
    }
    Ok(granted.into_iter().collect())
}

/// The names of the files in a folder: cheaper than to look at each of `count` paths. None if that is not so, because there
/// are very many others.
fn files_of(folder: &Path, count: usize) -> Option<HashSet<OsString>> {
    let most = count.saturating_mul(4);
    let mut files = HashSet::new();
    for (number, entry) in fs::read_dir(folder).ok()?.enumerate() {
        let entry = entry.ok().filter(|_| number < most)?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.insert(entry.file_name());
        }
    }
    Some(files)
}

/// What is in force around the workers of a pool; [`Pool::sandbox`](crate::Pool::sandbox) gives it.
///
/// It prints as `Landlock ABI 7, seccomp`, or as `seccomp alone: the kernel has no Landlock` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxStatus {
    landlock: Result<u32, String>,
    seccomp: Result<(), String>,
}

impl SandboxStatus {
    /// The version of Landlock that guards paths; None if nothing does.
    pub fn landlock_abi(&self) -> Option<u32> {
        self.landlock.as_ref().ok().copied()
    }

    /// Whether system calls are filtered.
    pub fn has_seccomp(&self) -> bool {
        self.seccomp.is_ok()
    }

    /// Why something is not in force; None if all is.
    pub fn missing(&self) -> Option<String> {
        match (&self.landlock, &self.seccomp) {
            (Ok(_), Ok(())) => None,
            (Err(why), Ok(())) | (Ok(_), Err(why)) => Some(why.clone()),
            (Err(landlock), Err(seccomp)) if landlock == seccomp => Some(landlock.clone()),
            (Err(landlock), Err(seccomp)) => Some(format!("{landlock}, and {seccomp}")),
        }
    }
}

impl fmt::Display for SandboxStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.landlock, &self.seccomp) {
            (Ok(abi), Ok(())) => write!(f, "Landlock ABI {abi}, seccomp"),
            (Ok(abi), Err(why)) => write!(f, "Landlock ABI {abi} alone: {why}"),
            (Err(why), Ok(())) => write!(f, "seccomp alone: {why}"),
            (Err(_), Err(_)) => write!(f, "none: {}", self.missing().unwrap_or_default()),
        }
    }
}

/// A sandbox on its way to a worker, with what the kernel gives for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Walls {
    has_landlock: bool,
    has_seccomp: bool,
    has_network: bool,
    read: Vec<OsString>,
    write: Vec<OsString>,
}

/// Whether this process is in a sandbox, to explain what is refused to it.
static IS_CONFINED: AtomicBool = AtomicBool::new(false);

impl Walls {
    /// Puts them up around this process. What one wall says is in force is, or the worker ends.
    ///
    /// # Errors
    /// What the kernel refuses, in words.
    pub fn apply(&self) -> io::Result<()> {
        let failed = |wall: &str, e: io::Error| io::Error::new(e.kind(), format!("failed to set up {wall}: {e}"));
        // Both walls are around a thread and what it starts, not around those that it finds.
        if procession_os::has_other_threads() {
            return Err(io::Error::other("a sandbox needs workers that have no threads before procession::init()"));
        }
        // The program's own may be a file, or be read by somebody who trusts it.
        procession_os::redirect_stdout_to_stderr().map_err(|e| failed("the standard output", e))?;
        // On kernels before 6.9 it is told by /proc, which is out of reach later.
        Identity::own();
        // Who writes nothing truncates nothing; the cheaper of the walls sees to that.
        let truncates = !self.write.is_empty() || !self.has_seccomp;
        if self.has_landlock {
            let paths = |names: &[OsString]| names.iter().map(PathBuf::from).collect::<Vec<PathBuf>>();
            let (read, write) = (paths(&self.read), paths(&self.write));
            procession_os::confine_paths(PathGrants {
                read: &read,
                write: &write,
                network: self.has_network,
                truncates,
            })
            .map_err(|e| failed("Landlock", e))?;
        }
        if self.has_seccomp {
            procession_os::confine_calls(self.has_network, truncates).map_err(|e| failed("seccomp", e))?;
        }
        IS_CONFINED.store(self.has_landlock || self.has_seccomp, Ordering::Relaxed);
        Ok(())
    }
}

/// What to add to the error of a start that was refused, if a sandbox is why.
pub(crate) fn explain_refused_start(cause: &io::Error) -> Option<&'static str> {
    let is_refused = cause.kind() == io::ErrorKind::PermissionDenied && IS_CONFINED.load(Ordering::Relaxed);
    is_refused.then_some(
        "this worker is in a sandbox, which starts no processes; start them in the program, and pass handles",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn very_many_files_are_granted_by_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&other).unwrap();
        let files: Vec<PathBuf> = (0..=MAX_PATHS).map(|n| one.join(n.to_string())).collect();
        files.iter().for_each(|file| std::fs::write(file, "").unwrap());
        std::os::unix::fs::symlink(&files[0], other.join("link")).unwrap();
        let names = |paths: &[PathBuf]| paths.iter().cloned().map(PathBuf::into_os_string).collect::<Vec<_>>();
        assert_eq!(all_or_folders(&files[1..]).unwrap(), names(&files[1..]));
        // A link leads elsewhere, a folder is itself.
        let more = [files, vec![other.join("link"), other.clone()]].concat();
        assert_eq!(all_or_folders(&more).unwrap(), names(&[one, other.clone(), other.join("link")]));
    }

    #[test]
    fn paths_travel_as_they_are() {
        let name = OsString::from_vec(b"/caf\xe9".to_vec());
        let (walls, _) = Sandbox::compute().read(&name).write("out").build(false).unwrap();
        assert_eq!(walls.read, [name]);
        assert_eq!(walls.write, [std::env::current_dir().unwrap().join("out")]);
        let bytes = postcard::to_stdvec(&walls).unwrap();
        assert_eq!(postcard::from_bytes::<Walls>(&bytes).unwrap(), walls);
        assert_eq!(Sandbox::compute().read("").build(false).unwrap_err().kind(), ErrorKind::BadArgument);
    }

    #[test]
    fn what_is_in_force_is_told() {
        let status = |landlock: Result<u32, &str>, seccomp: Result<(), &str>| SandboxStatus {
            landlock: landlock.map_err(str::to_string),
            seccomp: seccomp.map_err(str::to_string),
        };
        assert_eq!(status(Ok(7), Ok(())).to_string(), "Landlock ABI 7, seccomp");
        assert_eq!(status(Err("no L"), Ok(())).to_string(), "seccomp alone: no L");
        assert_eq!(status(Ok(1), Err("no s")).to_string(), "Landlock ABI 1 alone: no s");
        assert_eq!(status(Err("no L"), Err("no s")).to_string(), "none: no L, and no s");
        let (walls, inline) = Sandbox::network().build(true).unwrap();
        assert_eq!(inline.to_string(), "none: an inline pool has no workers");
        assert!(!walls.has_landlock && !walls.has_seccomp && walls.has_network);
        let error = Sandbox::compute().require().build(true).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("inline"), "{error}");
    }
}
