//! Workers that are started by hand with a lane that is none, one of another version, and random frames.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use procession_os::{Channel, ImageId, Notifier, Segment, SelfSpawn};

use super::lane::{CAPACITY, LANE_BYTES, TASKS_BYTES, TASKS_HEAD};
use crate::machine::mebibytes;
use crate::random::Random;
use crate::row::Run;

const VERSION: u32 = 4;
/// Exit code of a worker that refuses.
const REFUSED: i32 = 125;
const BELL_BYTES: usize = 4096;
/// How long a worker may look at frames that lack their ends.
const A_WHILE: Duration = Duration::from_millis(300);
const ALLOWED_RSS: u64 = 64 << 20;

/// A lane as the program makes it, but for what is to be wrong.
fn lane() -> io::Result<(Segment, OwnedFd)> {
    let (lane, fd) = Segment::create("procession-lane", LANE_BYTES)?;
    lane.write(0, b"procLANE");
    lane.write(8, &VERSION.to_le_bytes());
    lane.write(16, &ImageId::current().0);
    Ok((lane, fd))
}

/// What came of a worker: its exit code or signal, and the most memory it had.
struct End {
    code: Option<i32>,
    signal: Option<i32>,
    peak_rss_bytes: u64,
    stderr: String,
}

/// Starts a worker with this lane; one that waits for more after `A_WHILE` is ended, and has neither code nor signal.
fn start(lane: &OwnedFd) -> anyhow::Result<End> {
    use std::os::unix::process::ExitStatusExt;
    let (_bell, bell) = Segment::create("procession-bell", BELL_BYTES)?;
    let event = Notifier::new()?;
    let (_ours, theirs) = Channel::pair()?;
    let mut stderr = tempfile::tempfile()?;
    let argument = format!("--procession-worker=pool:0:{}:by hand", std::process::id());
    let fds = vec![lane.as_fd(), bell.as_fd(), event.as_fd(), stderr.as_fd(), theirs.as_fd()];
    let mut child = SelfSpawn { argument: &argument, fds, stderr: Some(stderr.as_fd()), new_session: false }.spawn()?;
    let since = Instant::now();
    let mut peak_rss_bytes = 0;
    let status = loop {
        if let Some(usage) = procession_os::process_usage(child.pid()) {
            peak_rss_bytes = peak_rss_bytes.max(usage.peak_rss_bytes);
        }
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if since.elapsed() > A_WHILE => break None,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    child.kill();
    let mut text = String::new();
    io::Seek::rewind(&mut stderr)?;
    io::Read::read_to_string(&mut stderr, &mut text)?;
    Ok(End {
        code: status.and_then(|s| s.code()),
        signal: status.and_then(|s| s.signal()),
        peak_rss_bytes,
        stderr: text,
    })
}

pub fn run(run: &Run) -> anyhow::Result<()> {
    let wrong: [(&str, usize, &[u8], &str); 3] = [
        ("magic", 0, b"nothing!", "no lane"),
        ("version", 8, &[9, 0, 0, 0], "another version"),
        ("image", 20, &[0xee; 8], "another image"),
    ];
    for (what, at, bytes, says) in wrong {
        let (segment, fd) = lane()?;
        segment.write(at, bytes);
        let end = start(&fd)?;
        ensure!(end.code == Some(REFUSED) && end.stderr.contains(says), "{what}: {:?}, {}", end.code, end.stderr);
    }
    run.figure("a lane with another magic, version or image is refused by name".to_string());
    let (mut refused, mut waited, mut most) = (0, 0, 0);
    let seeds = run.for_each_seed("random frames", run.seeds(2, 8), |_, random| {
        let (segment, fd) = lane()?;
        let bytes = frames(random);
        segment.write(TASKS_BYTES as usize, &bytes);
        segment.u64(TASKS_HEAD as usize).store(bytes.len() as u64, std::sync::atomic::Ordering::Release);
        let end = start(&fd).context("a worker cannot be started")?;
        most = most.max(end.peak_rss_bytes);
        match (end.code, end.signal) {
            (None, None) => waited += 1,
            // It was told to stop, or refuses.
            (Some(0 | REFUSED), _) => refused += 1,
            other => anyhow::bail!("a worker ended with {other:?}: {}", end.stderr),
        }
        ensure!(end.peak_rss_bytes <= ALLOWED_RSS, "a worker grew to {}", mebibytes(end.peak_rss_bytes));
        Ok(())
    });
    run.figure(format!(
        "{seeds} seeds of random frames: {refused} workers ended by themselves, {waited} waited for more, none had more than {}",
        mebibytes(most)
    ));
    Ok(())
}

/// Frames that begin well, with random fields, random lengths and random calls.
fn frames(mut random: Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(5) {
        let len =
            [0, random.below(50), random.below(5000), 1 << random.below(64), random.next()][random.below(5) as usize];
        let kind = if random.below(10) == 0 { random.next() as u16 } else { 1 + random.below(8) as u16 };
        bytes.extend(kind.to_le_bytes());
        bytes.extend(if random.below(4) == 0 { random.next() as u16 } else { 0 }.to_le_bytes());
        bytes.extend((random.below(5) as u32).to_le_bytes());
        bytes.extend(len.to_le_bytes());
        for _ in 0..5 {
            let word = if random.below(2) == 0 { random.below(1 << 24) } else { random.next() };
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend((0..len.min(random.below(6000))).map(|_| random.next() as u8));
    }
    bytes.truncate(CAPACITY as usize);
    bytes
}
