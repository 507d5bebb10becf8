//! Runs tests on one host or two.

use super::job::Job;
use super::{Tally, Told, run_one, shown, stage};
use crate::cmd::bench::available_mib;
use crate::judge::{Outcome, Verdict};
use crate::ui::{Ui, counted, out};
use anyhow::Result;
use lab::Host;
use std::mem;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// How many hosts may end under the tests before what is left fails.
const BOOTS: usize = 3;

/// The least number of tests for which another host is booted.
const WORTH_A_HOST: usize = 12;

/// MiB of memory that another host and what runs beside it take.
const MEMORY: u64 = 3 << 10;

/// Tests that run on one host or on two: one from the first on, another one from the last.
///
/// On each they run one after the other: dom0 has one CPU, and creating a guest keeps it busy, so
/// that guests side by side take longer in all.
///
/// When the host ends under them, such as by a panic of dom0's kernel, what ran is run once more
/// on a new one, and the rest as well: one fault shall not hide what all others are like. A test
/// that ends the next host too has failed, and one that passes there is told of at the end.
struct Runs<'a> {
    boot: &'a (dyn Fn(Worker) -> Result<Host> + Sync),
    jobs: &'a [Job<'a>],
    ui: &'a Ui,
    width: usize,
    /// Those that nobody has begun.
    left: Mutex<Range<usize>>,
    so_far: Mutex<SoFar>,
}

/// Who runs tests.
#[derive(Clone, Copy)]
pub(super) enum Worker {
    First,
    Second,
}

/// What became of those that have ended.
struct SoFar {
    boots: usize,
    tally: Tally,
    told: Told,
}

/// Opens once, for who waits for a processor that has nothing else to do any more.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub(crate) fn open(&self) {
        *lock(&self.is_open) = true;
        self.opened.notify_all();
    }

    /// Opens when what this gives is dropped, whatever happens before.
    pub(crate) fn at_end(&self) -> impl Drop {
        Opens(self)
    }

    fn wait(&self) {
        let closed = self.opened.wait_while(lock(&self.is_open), |is_open| !*is_open);
        drop(closed.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Opens a gate when it is dropped.
struct Opens<'a>(&'a Gate);

impl Drop for Opens<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Runs all, from when `second` is open on a second host as well if that is worth it.
pub(super) fn run_all(
    boot: &(dyn Fn(Worker) -> Result<Host> + Sync),
    jobs: &[Job<'_>],
    second: Option<&Gate>,
    ui: &Ui,
) -> Result<(Tally, Told)> {
    let width = jobs.iter().map(|job| job.name.len()).max().unwrap_or(0);
    let (tally, told) = (Tally::default(), Told::default());
    let so_far = Mutex::new(SoFar { boots: BOOTS, tally, told });
    let runs = Runs { boot, jobs, ui, width, left: Mutex::new(0..jobs.len()), so_far };
    let host = boot(Worker::First)?;
    ui.done();
    runs.begins();
    thread::scope(|scope| {
        if let Some(gate) = second {
            scope.spawn(|| {
                gate.wait();
                runs.help();
            });
        }
        let _ended = second.map(Gate::at_end);
        // Where this one cannot go on, the other one does.
        runs.work(host, Worker::First);
    });
    ui.done();
    let left = lock(&runs.left).len();
    let SoFar { mut tally, mut told, .. } =
        runs.so_far.into_inner().unwrap_or_else(PoisonError::into_inner);
    if left > 0 {
        let text = format!("       {} were not run, as no host came up\n", counted(left, "guest"));
        out(&text);
        tally.failed += left;
        told.failures.push(text);
    }
    Ok((tally, told))
}

impl Runs<'_> {
    fn begins(&self) {
        self.ui.step(&format!("running {}", counted(self.jobs.len(), "guest")));
    }

    /// Runs tests on a host of its own, where there are many and there is memory for it.
    fn help(&self) {
        let is_alone = thread::available_parallelism().is_ok_and(|it| it.get() < 2);
        let is_short = available_mib().is_some_and(|it| it < MEMORY);
        if is_alone || is_short || lock(&self.left).len() < WORTH_A_HOST {
            return;
        }
        match (self.boot)(Worker::Second) {
            Ok(host) => {
                self.begins();
                self.work(host, Worker::Second);
            }
            // The first one runs them all.
            Err(error) => self.ui.note(&format!("there is no second host: {error:#}")),
        }
    }

    /// Runs on `host` what is left, until that is nothing or no host comes up any more.
    fn work(&self, mut host: Host, worker: Worker) {
        let mut last = "";
        while let Some(job) = self.next(worker) {
            if mem::replace(&mut last, &job.guest.name) != job.guest.name {
                stage::clear(&host);
            }
            let number = lock(&self.so_far).tally.all() + 1;
            self.ui.detail(format!("running {} ({number} of {})", job.name, self.jobs.len()));
            let start = Instant::now();
            let mut done = run_one(&host, job);
            let ended = host.has_ended();
            if ended {
                if !self.may_boot() {
                    return self.tell(job, &done, start, ended);
                }
                let text = shown(job, &done, start.elapsed(), self.width);
                let text =
                    format!("{text}       the host ended; a new one goes on with this test\n");
                self.ui.above(|| out(&text));
                drop(host);
                host = match (self.boot)(worker) {
                    Ok(host) => host,
                    Err(error) => return self.tell(job, &Err(error), start, ended),
                };
                self.begins();
                done = run_one(&host, job);
            }
            self.tell(job, &done, start, ended);
        }
    }

    /// Takes the next test.
    fn next(&self, worker: Worker) -> Option<&Job<'_>> {
        let mut left = lock(&self.left);
        let at = match worker {
            Worker::First => left.next(),
            Worker::Second => left.next_back(),
        };
        self.jobs.get(at?)
    }

    /// Counts a test, and says what became of it. `ended` says whether a host ended under it.
    fn tell(&self, job: &Job<'_>, done: &Result<(Outcome, Verdict)>, start: Instant, ended: bool) {
        let text = shown(job, done, start.elapsed(), self.width);
        self.ui.above(|| out(&text));
        let mut so_far = lock(&self.so_far);
        let failed_before = so_far.tally.failed;
        so_far.tally.count(done);
        let failed = so_far.tally.failed > failed_before;
        so_far.told.note(&job.name, &text, failed, ended);
    }

    /// Whether another host may be booted for one that ended.
    fn may_boot(&self) -> bool {
        let boots = &mut lock(&self.so_far).boots;
        let may = *boots > 0;
        *boots = boots.saturating_sub(1);
        may
    }
}

/// Locks; what a thread that panicked has counted is counted.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
