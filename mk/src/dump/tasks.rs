//! The tasks of a domain that was dumped: what `kernel::task::spawn` made and has not ended.
//!
//! Nothing lists them, so they are looked for. A task begins with what the crate `async-task` keeps
//! of it, a pointer to a table of functions among that, and behind it stands the future, a box: a
//! pointer to its state and one to its table (drop, size, alignment, `poll`). Which function polls
//! it says whose it is. Where in it the task waits is not known: that takes its types, which images
//! are built without.

use super::Dump;
use crate::symbols::Symbols;
use std::collections::BTreeMap;
use std::ops::Range;

/// How many words behind the pointer to the table the box of the future may begin.
const REACH: u64 = 8;

/// Where the state may be, in words from that pointer, the likeliest place first: the compiler
/// chooses.
const AROUND: [i64; 6] = [1, -1, 2, -2, 3, -3];

/// Flags of the state (`state.rs` of `async-task` 4.7): it is to be run, it runs, it has ended in one
/// of two ways; and what counts one reference.
const SCHEDULED: u64 = 1;
const RUNNING: u64 = 2;
const COMPLETED: u64 = 4;
const CLOSED: u64 = 8;
const REFERENCE: u64 = 256;

/// More references than any task has.
const REFERENCES: u64 = 1 << 20;

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// The address of its future's state.
    pub(crate) future: u64,
    /// The bytes of that.
    pub(crate) size: u64,
    /// The function that polls it.
    pub(crate) poll: u64,
    pub(crate) phase: Phase,
}

/// What a task is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Runs,
    /// It was woken.
    Ready,
    Waits,
}

/// The tasks of `dump`, of which `symbols` are. `constants` is where tables may be.
pub(crate) fn tasks(dump: &Dump<'_>, symbols: &Symbols, constants: &Range<u64>) -> Vec<Task> {
    let schedules = |address| {
        let name = symbols.symbol(address).unwrap_or_default();
        name.contains("async_task::raw::RawTask") && name.contains("::schedule")
    };
    // The tables of functions, one for each type of result.
    let tables: Vec<u64> = (constants.start..constants.end)
        .step_by(8)
        .filter(|&at| dump.word(at).is_some_and(schedules))
        .collect();
    found(dump, &tables, constants, &|address| symbols.is_code(address))
}

/// The tasks whose tables of functions are `tables`, each once.
fn found(
    dump: &Dump<'_>,
    tables: &[u64],
    constants: &Range<u64>,
    is_code: &dyn Fn(u64) -> bool,
) -> Vec<Task> {
    let mut tasks = BTreeMap::new();
    for (start, page) in dump.all() {
        for (at, bytes) in (start..).step_by(8).zip(page.chunks_exact(8)) {
            let Ok(word) = bytes.try_into().map(u64::from_le_bytes) else { continue };
            if !tables.contains(&word) || constants.contains(&at) {
                continue;
            }
            let Some(phase) = phase(dump, at) else { continue };
            let task = (1..=REACH).find_map(|step| {
                let at = at.checked_add(step * 8)?;
                boxed(dump, dump.word(at)?, dump.word(at + 8)?, constants, is_code, phase)
            });
            tasks.extend(task.map(|task| (task.future, task)));
        }
    }
    tasks.into_values().collect()
}

/// What a task is at whose pointer to its table is at `at`: as one of the words around says. `None`
/// if it has ended, or never was one.
fn phase(dump: &Dump<'_>, at: u64) -> Option<Phase> {
    let around = AROUND.into_iter().filter_map(|words| at.checked_add_signed(words * 8));
    let is_state = |word: &u64| (REFERENCE..REFERENCES * REFERENCE).contains(word);
    let state = around.filter_map(|at| dump.word(at)).find(is_state)?;
    match state {
        state if state & (COMPLETED | CLOSED) != 0 => None,
        state if state & RUNNING != 0 => Some(Phase::Runs),
        state if state & SCHEDULED != 0 => Some(Phase::Ready),
        _ => Some(Phase::Waits),
    }
}

/// The future of a box with these two pointers, if they look like such.
fn boxed(
    dump: &Dump<'_>,
    future: u64,
    table: u64,
    constants: &Range<u64>,
    is_code: &dyn Fn(u64) -> bool,
    phase: Phase,
) -> Option<Task> {
    if !constants.contains(&table) {
        return None;
    }
    let [drop, size, align, poll] = [0, 8, 16, 24].map(|at| dump.word(table + at));
    let (drop, size, align, poll) = (drop?, size?, align?, poll?);
    let is_table = (drop == 0 || is_code(drop)) && align.is_power_of_two() && is_code(poll);
    let is_there = size == 0 || dump.holds(future);
    (is_table && is_there).then_some(Task { future, size, poll, phase })
}

#[cfg(test)]
mod tests {
    use super::super::Registers;
    use super::super::tests::{BASE, dumped, mapped};
    use super::*;

    const CONSTANTS: Range<u64> = BASE..BASE + 0x100;
    const SCHEDULE: u64 = BASE + 0x10;
    const TABLE: u64 = BASE + 0x40;

    fn code(address: u64) -> bool {
        (0x1000..0x2000).contains(&address)
    }

    /// A task at `at` in this state, whose future is at `future`.
    fn task(at: u64, state: u64, future: u64) -> [(u64, u64); 5] {
        [(at, SCHEDULE), (at + 8, state), (at + 32, 0x77), (at + 40, future), (at + 48, TABLE)]
    }

    #[test]
    fn tasks_are_told_by_what_polls_them() {
        let future = |number: u64| BASE + 0x2000 + number * 0x100;
        let mut words = vec![
            (SCHEDULE, 0x1500),
            (TABLE, 0x1100),
            (TABLE + 8, 64),
            (TABLE + 16, 8),
            (TABLE + 24, 0x1200),
        ];
        let states = [0x100, 0x101, 0x102 | 16, 0x108, 0x104, 0];
        for (number, state) in (0..).zip(states) {
            words.extend(task(BASE + 0x1000 + number * 0x80, state, future(number)));
        }
        // No future: what it names is no table.
        words.extend(task(BASE + 0x1800, 0x100, future(9)));
        words.retain(|word| word.0 != BASE + 0x1830);
        let dump = dumped(&[0, 1, 2], &words, Registers::default());
        let tasks = found(&dump, &[SCHEDULE], &CONSTANTS, &code);
        let all: Vec<_> = tasks.iter().map(|it| (it.future, it.phase)).collect();
        let expected =
            [(future(0), Phase::Waits), (future(1), Phase::Ready), (future(2), Phase::Runs)];
        assert_eq!(all, expected);
        assert_eq!((tasks[0].size, tasks[0].poll), (64, 0x1200));
    }

    #[test]
    fn tasks_are_found_also_where_memory_was_moved() {
        // At an address behind all pages, as the kernel uses them.
        let future = BASE + 0x20_0000 + 0x1000;
        let table = [
            (SCHEDULE, 0x1500),
            (TABLE, 0),
            (TABLE + 8, 64),
            (TABLE + 16, 8),
            (TABLE + 24, 0x1200),
        ];
        let mut words: Vec<_> = table.to_vec();
        words.extend(task(BASE + 0x1000, 0x100, future));
        words.extend(mapped(future, [4, 5, 6, 7], 1));
        let registers = Registers { tables: 1004, ..Registers::default() };
        let dump = dumped(&[0, 1, 4, 5, 6, 7], &words, registers);
        let tasks = found(&dump, &[SCHEDULE], &CONSTANTS, &code);
        assert_eq!(tasks.iter().map(|it| it.future).collect::<Vec<_>>(), [future]);
    }
}
