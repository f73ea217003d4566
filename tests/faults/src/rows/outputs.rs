//! Writing the report is killed, or fails: the old file is there, or the new one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::machine::names;
use crate::row::{Row, Run};
use crate::toolbox::{Job, kill_after};
use crate::watch;

pub const ROW: Row = Row {
    name: "outputs",
    promise: "outputs are atomic",
    fault: "kill, ENOSPC (a small tmpfs), read-only folder, EIO (a seccomp filter)",
    must_show: "old or new file only",
    run,
};

const FILES: u64 = 1000;
const OLD: &[u8] = b"what was there before\n";

fn run(run: &Run) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let job = Job::new(&run.binary, &folder.path().join("in"), FILES)?;
    let want = job.stdout(&[])?;
    let out = Target::new(&folder.path().join("out"))?;
    kills(run, &job, &out, &want)?;
    let _watch = watch::patience("failing writes", Duration::from_secs(300));
    errors(run, &job, &out, &want)?;
    let place = folder.path().join("small");
    std::fs::create_dir(&place)?;
    match Tmpfs::mount(&place) {
        Ok(small) => full_and_read_only(run, &job, &small)?,
        Err(error) => run.figure(format!("NOT COVERED here: ENOSPC and read-only folders ({error:#})")),
    }
    Ok(())
}

/// A folder with one file, which is to be replaced.
struct Target {
    folder: PathBuf,
    file: PathBuf,
}

impl Target {
    fn new(folder: &Path) -> anyhow::Result<Target> {
        std::fs::create_dir_all(folder)?;
        let target = Target { folder: folder.to_path_buf(), file: folder.join("report") };
        target.restore()?;
        Ok(target)
    }

    fn restore(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(&self.file, OLD)?)
    }

    fn command(&self, job: &Job) -> anyhow::Result<Command> {
        Ok(job.command(&["--force", "-o", self.file.to_str().context("a path")?]))
    }

    /// The write failed, was told, and left the old file and nothing else.
    fn check_failed(&self, mut command: Command, says: &str) -> anyhow::Result<()> {
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "it ended with success");
        ensure!(output.status.code().is_some_and(|code| code <= 2), "it ended with {}: {said}", output.status);
        ensure!(said.to_lowercase().contains(says) && said.contains("report"), "it said only: {said}");
        ensure!(std::fs::read(&self.file)? == OLD, "the old file has changed");
        let left = names(&self.folder);
        ensure!(left.len() == 1, "left behind: {left:?}");
        Ok(())
    }
}

fn kills(run: &Run, job: &Job, out: &Target, want: &[u8]) -> anyhow::Result<()> {
    let since = Instant::now();
    ensure!(out.command(job)?.status()?.success(), "an undisturbed run fails");
    let usual = since.elapsed();
    let mut seen = BTreeMap::new();
    let (mut kills, mut known) = (0, names(&out.folder));
    let seeds = run.for_each_seed("kill -9 of a writer", run.seeds(1, 10), |_, mut random| {
        out.restore()?;
        let mut child = out.command(job)?.stderr(Stdio::null()).spawn()?;
        // Most of them while the file is written: there is a second name then, for a moment.
        let time = if random.below(4) == 0 {
            usual * random.below(1000) as u32 / 1000
        } else {
            while names(&out.folder).is_subset(&known) && child.try_wait()?.is_none() {
                std::hint::spin_loop();
            }
            Duration::from_micros(random.below(8000))
        };
        kills += u64::from(kill_after(child, time)?);
        known = names(&out.folder);
        let found = std::fs::read(&out.file)?;
        let what = if found == OLD {
            "old"
        } else if found == want {
            "new"
        } else {
            bail!("{} bytes that are neither the old file nor the new one", found.len())
        };
        *seen.entry(what).or_insert(0u64) += 1;
        Ok(())
    });
    ensure!(out.command(job)?.status()?.success(), "a run after the kills fails");
    let left = names(&out.folder);
    run.figure(format!("{seeds} seeds, {kills} kills: {seen:?}, {} leftovers after the next run", left.len() - 1));
    if left.len() > 1 {
        run.broken(format!("leftovers of killed runs after the next one: {left:?}"));
        left.iter()
            .filter(|name| *name != "report")
            .try_for_each(|name| std::fs::remove_file(out.folder.join(name)))?;
    }
    Ok(())
}

/// The system calls that make a file durable or give it its name fail.
fn errors(run: &Run, job: &Job, out: &Target, want: &[u8]) -> anyhow::Result<()> {
    let calls: [(&str, &[i64]); 2] = [
        ("fsync", &[libc::SYS_fsync, libc::SYS_fdatasync]),
        #[cfg(target_arch = "x86_64")]
        ("rename", &[libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_link, libc::SYS_linkat]),
        #[cfg(not(target_arch = "x86_64"))]
        ("rename", &[libc::SYS_renameat2, libc::SYS_linkat]),
    ];
    for (what, numbers) in calls {
        out.restore()?;
        let command = out.command(job)?;
        let told = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    fail_calls(numbers)?;
                    out.check_failed(command, "input/output error")
                })
                .join()
        });
        told.ok().context("a thread panicked")?.with_context(|| format!("EIO at {what}"))?;
    }
    out.restore()?;
    ensure!(out.command(job)?.status()?.success() && std::fs::read(&out.file)? == want, "it does not recover");
    run.figure("EIO at fsync and at rename: told, the old file whole, nothing left behind".to_string());
    Ok(())
}

/// From now on these calls fail with EIO, in this thread and in what it starts.
fn fail_calls(numbers: &[i64]) -> anyhow::Result<()> {
    let rules = numbers.iter().map(|&number| (number, Vec::new())).collect();
    let action = SeccompAction::Errno(libc::EIO as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, std::env::consts::ARCH.try_into()?)?;
    Ok(seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?)
}

fn full_and_read_only(run: &Run, job: &Job, small: &Tmpfs) -> anyhow::Result<()> {
    let out = Target::new(&small.0)?;
    out.check_failed(out.command(job)?, "no space left").context("ENOSPC")?;
    small.remount_read_only()?;
    out.check_failed(out.command(job)?, "read-only").context("a read-only folder")?;
    run.figure("ENOSPC and a read-only folder: told, the old file whole, nothing left behind".to_string());
    Ok(())
}

/// A file system of 64 KiB, which is less than the report needs.
pub struct Tmpfs(pub PathBuf);

impl Tmpfs {
    pub fn mount(at: &Path) -> anyhow::Result<Tmpfs> {
        succeed(Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at))?;
        Ok(Tmpfs(at.to_path_buf()))
    }

    fn remount_read_only(&self) -> anyhow::Result<()> {
        succeed(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}
