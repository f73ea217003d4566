//! From a command line to an exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use procession::ErrorKind;
use procession_jobs::hash::Hash;
use procession_jobs::logs::LogsJob;
use procession_jobs::transform::Transform;
use procession_jobs::{DriveError, Finished, Interrupt, Job, Options, PlanError, Replace, SandboxMode};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::descriptors;
use crate::doctor;
use crate::flags::{Command, CommonArgs, Format, JobArgs, JobCommand, Sandbox};
use crate::log::Log;
use crate::output;
use crate::output::Output;
use crate::progress::Progress;
use crate::{again, pages, record};

const SOME_FAILED: u8 = 1;
const BAD_USAGE: u8 = 2;
const INTERRUPTED: u8 = 130;

/// How long the next input may take to be there after a signal.
const INPUT_GRACE: Duration = Duration::from_millis(500);

/// Does what the command line says.
pub fn run_command() -> ExitCode {
    match Command::parse().job {
        JobCommand::Logs(JobArgs { own, common }) => {
            let counts_all = common.format != Format::Table;
            let workers = workers(&common);
            let job = LogsJob::new(own, workers).map(|job| if counts_all { job.count_lines(true) } else { job });
            run(job, &common, workers)
        }
        JobCommand::Hash(JobArgs { own, common }) => {
            let workers = workers(&common);
            run(Ok(Hash::new(own, workers)), &common, workers)
        }
        JobCommand::Transform(JobArgs { own, common }) => {
            let workers = workers(&common);
            let replace = if common.force { Replace::Allowed } else { Replace::Never };
            run(Ok(Transform::new(own, common.output.as_deref(), replace)), &common, workers)
        }
        JobCommand::Doctor(args) => doctor::run(&args),
        JobCommand::Completions(args) => pages::completions(&args),
        JobCommand::Man(args) => pages::man(&args),
    }
}

fn workers(common: &CommonArgs) -> usize {
    common.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

fn run<J: Job>(job: Result<J, PlanError>, common: &CommonArgs, workers: usize) -> ExitCode {
    let log = Log::new(J::NAME, common);
    let bad_usage = |error: PlanError| {
        log.plan_error(&error);
        ExitCode::from(BAD_USAGE)
    };
    let job = match job {
        Ok(job) => job,
        Err(error) => return bad_usage(error),
    };
    let output = match Output::new::<J>(common.output.as_deref(), common.force) {
        Ok(output) => output,
        Err(error) => return bad_usage(PlanError::new(format_args!("{error:#}"))),
    };
    if common.dry_run {
        return match procession_jobs::plan(job, &record::selection(common)) {
            Ok(plan) => {
                let code = if plan.iter().any(|task| task.problem.is_some()) { SOME_FAILED } else { 0 };
                exit_code(
                    output.write(|out| output::write_plan(out, J::NAME, &plan, common.format, output.is_terminal())),
                    code,
                    &log,
                )
            }
            Err(error) => bad_usage(error),
        };
    }
    if J::WRITES_OUTPUT && common.only.is_some() {
        return bad_usage(PlanError::new(format_args!(
            "{} writes one output of all tasks, and not of some (--only goes with --dry-run alone)",
            J::NAME
        )));
    }
    let records = match record::open(common, &procession_jobs::purpose(&job), &log) {
        Ok(records) => records,
        Err(error) => return bad_usage(PlanError::new(error)),
    };
    // While there is one thread.
    let files_ahead = descriptors::make_room();
    let interrupt = Arc::new(Interrupt::default());
    if let Err(error) = stop_on_signals(&interrupt, &log) {
        log.error(&format!("failed to watch for signals: {error}"));
    }
    let mut progress = Progress::new(common.progress, &log);
    let sandbox = match common.sandbox {
        Sandbox::Auto => SandboxMode::Auto,
        Sandbox::Require => SandboxMode::Require,
        Sandbox::Off => SandboxMode::Off,
    };
    let options = Options {
        workers,
        timeout: common.timeout,
        retries: common.retries,
        fail_fast: common.fail_fast,
        limits: common.limits(),
        memory_free_bytes: common.memfree,
        max_load: common.load,
        delay: common.delay,
        sandbox,
        files_ahead,
    };
    let finished = procession_jobs::run(job, &options, &records, &interrupt, &mut progress);
    progress.finish();
    match finished {
        Ok(finished) => {
            let code = report(&finished, common, &output, &log);
            // The workers end with the program; nobody need wait for that here.
            std::mem::forget(finished);
            code
        }
        Err(DriveError::Plan(error)) => bad_usage(error),
        Err(DriveError::Pool(error)) if error.kind() == ErrorKind::Unsupported => {
            bad_usage(PlanError::new(format_args!("{error} (--sandbox auto goes on with what there is)")))
        }
        Err(DriveError::Pool(error)) => {
            log.error(&error);
            ExitCode::from(SOME_FAILED)
        }
    }
}

fn report(finished: &Finished, common: &CommonArgs, output: &Output, log: &Log) -> ExitCode {
    let Finished { summary, report, broken, unrecorded, unwritten, .. } = finished;
    if let Some(error) = broken.as_ref().filter(|_| summary.done == 0) {
        // A report of nothing must not replace another.
        log.error(error);
        return ExitCode::from(SOME_FAILED);
    }
    // What has no place for it is told apart, and never a file: by then nobody knows any more.
    let untold = output::shortfall(summary).filter(|shortfall| match common.format {
        Format::Table => report.remark(shortfall).is_none(),
        Format::Json => false,
        Format::Csv => true,
    });
    let has_place = untold.is_none() || !matches!(output, Output::File { .. });
    let write = |out: &mut dyn Write| match common.format {
        Format::Table => output::write_text(out, summary, report.as_ref()),
        Format::Json => output::write_json(out, summary, report.as_ref()),
        Format::Csv => output::write_csv(out, &report.table(), output.is_terminal()),
    };
    let written = if has_place { output.write(write) } else { Ok(()) };
    for warning in report.warnings() {
        log.plain(&warning);
    }
    if report.wants_summary() {
        log.summary(summary);
    }
    if let Some(hint) = again::hint(summary, common).filter(|_| report.has_parts()) {
        log.info(&hint);
    }
    if let Some(shortfall) = untold {
        log.error(&match output {
            Output::File { path, .. } => format!(
                "failed to write `{}`: its form cannot say that it is {shortfall} (--format json can)",
                path.display()
            ),
            _ => format!("the report is {shortfall}"),
        });
    }
    if let Some(error) = broken {
        log.error(error);
    }
    if let Some(error) = unrecorded {
        log.error(error);
    }
    if let Some(error) = unwritten {
        log.error(error);
    }
    let code = if summary.is_interrupted {
        INTERRUPTED
    } else if broken.is_some()
        || unrecorded.is_some()
        || unwritten.is_some()
        || summary.done < summary.tasks
        || report.is_bad()
    {
        SOME_FAILED
    } else {
        0
    };
    exit_code(written, code, log)
}

fn exit_code(written: anyhow::Result<()>, code: u8, log: &Log) -> ExitCode {
    match written {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            log.error(&format!("{error:#}"));
            ExitCode::from(SOME_FAILED)
        }
    }
}

/// The first signal ends the workers, and what is done is reported; the second ends the program. So does the first if the
/// program waits for input: from a terminal or a fifo none may ever come. A signal that was ignored when the program was
/// started (`nohup`) stays so.
fn stop_on_signals(interrupt: &Arc<Interrupt>, log: &Log) -> io::Result<()> {
    let (interrupt, log) = (Arc::clone(interrupt), log.clone());
    let ignored = ignored_signals();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].iter().filter(|&&s| ignored & 1 << (s - 1) == 0))?;
    let watch = move || {
        for _ in signals.forever() {
            let is_first = !interrupt.is_raised();
            interrupt.raise();
            if is_first {
                let deadline = Instant::now() + INPUT_GRACE;
                while interrupt.is_pulling() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            if !is_first || interrupt.is_pulling() {
                let what = if is_first { "interrupted while it waited for input" } else { "interrupted twice" };
                log.error(&format!("{what}: there is no report"));
                procession_jobs::remove_temporaries();
                std::process::exit(INTERRUPTED.into());
            }
        }
    };
    std::thread::Builder::new().name("signals".to_string()).spawn(watch)?;
    Ok(())
}

/// The signals that this program was told to ignore, signal 1 in the lowest bit (proc_pid_status(5)).
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
