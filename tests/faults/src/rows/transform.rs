//! `transform` is killed, loses its workers, or has no room: the output is whole or not there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::outputs::Tmpfs;
use crate::machine::{MARK, marked, names, own_pid};
use crate::random::Random;
use crate::row::{Row, Run};
use crate::toolbox::kill_after;
use crate::watch;

pub const ROW: Row = Row {
    name: "transform",
    promise: "the output of `transform` is whole or not there, and resumes",
    fault: "kill -9 of the program, then --resume; kill -9 of its workers; ENOSPC (a small tmpfs)",
    must_show: "never a part under the name; bytes identical",
    run,
};

/// About 10 MB, which are 80 tasks.
const ROWS: u64 = 100_000;
/// From where to where, in turn.
const WAYS: [(&str, &str); 3] = [("in.json", "out.csv"), ("in.ndjson", "out.json"), ("in.csv", "out.ndjson")];
const SIGKILL: i32 = 9;

fn run(run: &Run) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let job = Job::new(&run.binary, folder.path())?;
    let mut wanted = Vec::new();
    for (input, output) in WAYS {
        let place = folder.path().join(format!("whole-{output}"));
        job.run(input, &place, &[])?;
        wanted.push(std::fs::read(place)?);
    }
    kills(run, &job, &wanted)?;
    workers(run, &job, &wanted)?;
    let small = folder.path().join("small");
    std::fs::create_dir(&small)?;
    match Tmpfs::mount(&small) {
        Ok(small) => full(run, &job, &small)?,
        Err(error) => run.figure(format!("NOT COVERED here: ENOSPC ({error:#})")),
    }
    Ok(())
}

/// `procession transform` over rows that are odd, in each format.
struct Job {
    binary: PathBuf,
    folder: PathBuf,
}

impl Job {
    fn new(binary: &Path, folder: &Path) -> anyhow::Result<Job> {
        let job = Job { binary: binary.to_path_buf(), folder: folder.to_path_buf() };
        let mut random = Random(ROWS);
        let text = |random: &mut Random| -> String {
            let letters = ["a", "b ", "\"", ",", "\n", "\r", "\\", "\u{e4}", "\u{1f980}", "[", "}", "0"];
            (0..random.below(40)).map(|_| letters[random.below(letters.len() as u64) as usize]).collect()
        };
        let row = |n| serde_json::json!({ "n": n, "text": text(&mut random), "big": format!("{n:030}") }).to_string();
        let rows: Vec<String> = (0..ROWS).map(row).collect();
        std::fs::write(job.path("in.ndjson"), rows.join("\n"))?;
        std::fs::write(job.path("in.json"), format!("[{}]", rows.join(",")))?;
        job.run("in.ndjson", &job.path("in.csv"), &[])?;
        Ok(job)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command, with two workers.
    fn command(&self, input: &str, output: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(["transform", "-q", "-j", "2", "--select", "n,text,big", "--force"]).args(flags);
        command.arg(self.path(input)).arg("-o").arg(output);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn run(&self, input: &str, output: &Path, flags: &[&str]) -> anyhow::Result<()> {
        check(&mut self.command(input, output, flags))
    }
}

fn check(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("failed to start the toolbox (cargo build --release -p procession-cli)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`transform` ended with {}: {said}", output.status);
    Ok(())
}

/// The program is killed at random moments, up to three times, and goes on.
fn kills(run: &Run, job: &Job, wanted: &[Vec<u8>]) -> anyhow::Result<()> {
    let since = Instant::now();
    job.run(WAYS[0].0, &job.path("usual.csv"), &["--journal", path(&job.path("usual-journal"))?])?;
    let usual = since.elapsed();
    let (mut kills, mut in_the_middle) = (0, 0);
    let seeds = run.for_each_seed("kill -9 of transform", run.seeds(1, 10), |seed, mut random| {
        let place = tempfile::tempdir_in(&job.folder)?;
        let way = seed as usize % WAYS.len();
        let output = place.path().join(WAYS[way].1);
        let journal = job.path(&format!("journal-{seed}"));
        let mark = format!("transform-{}-{seed}", own_pid());
        let flags = ["--journal", path(&journal)?, "--resume"];
        for _ in 0..1 + random.below(3) {
            let mut command = job.command(WAYS[way].0, &output, &flags);
            let mut child = command.env(MARK, &mark).stderr(Stdio::null()).spawn()?;
            // Most of them while the output grows: there is a temporary name then.
            if random.below(4) > 0 {
                until_it_writes(&mut child, place.path())?;
            }
            kills += u64::from(kill_after(child, usual * random.below(1000) as u32 / 1000)?);
            // A child that is about to become the supervisor still holds what the program held: until then the next run
            // cannot tell that it is a leftover.
            while !marked(&mark).is_empty() {
                std::thread::sleep(Duration::from_millis(1));
            }
            in_the_middle += u64::from(names(place.path()).iter().any(|name| name.starts_with(".procession-")));
            ensure!(
                !output.exists() || std::fs::read(&output)? == wanted[way],
                "there is a part of the output under its name"
            );
        }
        job.run(WAYS[way].0, &output, &flags)?;
        ensure!(std::fs::read(&output)? == wanted[way], "the output differs from that of an undisturbed run");
        let left = names(place.path());
        ensure!(left.len() == 1, "left behind: {left:?}");
        Ok(std::fs::remove_file(journal)?)
    });
    run.figure(format!(
        "{seeds} seeds of {ROWS} rows, {kills} kills, {in_the_middle} of them while the output was written: \
         outputs identical after --resume, no part under the name, 0 leftovers"
    ));
    Ok(())
}

/// Workers are killed at random moments.
fn workers(run: &Run, job: &Job, wanted: &[Vec<u8>]) -> anyhow::Result<()> {
    let mut killed = 0;
    let seeds = run.for_each_seed("kill -9 of workers of transform", run.seeds(2, 10), |seed, mut random| {
        let place = tempfile::tempdir_in(&job.folder)?;
        // Those that look at the first rows of CSV, before there is any output, are others.
        let way = seed as usize % 2;
        let output = place.path().join(WAYS[way].1);
        let mut command = job.command(WAYS[way].0, &output, &["--retries", "9"]);
        let mut child = command.stderr(Stdio::piped()).spawn()?;
        until_it_writes(&mut child, place.path())?;
        for _ in 0..1 + random.below(4) {
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            let of_program = workers_of(&child);
            if !of_program.is_empty() {
                let pid = of_program[random.below(of_program.len() as u64) as usize];
                killed += u64::from(procession_os::signal_process(pid, SIGKILL));
            }
        }
        let ended = child.wait_with_output()?;
        ensure!(ended.status.success(), "it ended with {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
        ensure!(std::fs::read(&output)? == wanted[way], "the output differs from that of an undisturbed run");
        Ok(())
    });
    run.figure(format!("{seeds} seeds, {killed} workers killed: outputs identical"));
    ensure!(killed > 0, "no worker was killed");
    Ok(())
}

/// There is no room for the output.
fn full(run: &Run, job: &Job, small: &Tmpfs) -> anyhow::Result<()> {
    let _watch = watch::patience("a full disk", Duration::from_secs(90));
    for (input, output) in WAYS {
        let output = small.0.join(output);
        let ended = job.command(input, &output, &[]).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        ensure!(ended.status.code() == Some(1), "it ended with {}: {said}", ended.status);
        ensure!(said.contains("failed to write `") && said.contains("no space left"), "it said only: {said}");
        let left = names(&small.0);
        ensure!(left.is_empty(), "left behind: {left:?}");
    }
    run.figure("ENOSPC: told, exit code 1, nothing left behind".to_string());
    Ok(())
}

/// Waits until there is a name in a folder, or the child has ended.
fn until_it_writes(child: &mut Child, folder: &Path) -> anyhow::Result<()> {
    while names(folder).is_empty() && child.try_wait()?.is_none() {
        std::hint::spin_loop();
    }
    Ok(())
}

fn workers_of(program: &Child) -> Vec<i32> {
    let children = procession_os::children_of_all();
    let is_worker = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("transform-"))
    };
    procession_os::descendants(&children, program.id() as i32).into_iter().filter(is_worker).collect()
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path")
}
