//! A program of Linux that does anything: calls with any number and arguments, in all its
//! processes and threads, stores to its memory, and faults. Whatever it did, nothing panics, and
//! no process and no task is left when it has ended.

#![no_main]

use kernel::task::{Either, alive, select};
use kernel::testing::play;
use kernel::time::sleep;
use kernel::user::{Access, Exit, PAGE, Space, Trap};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::linux::exec::{First, first};
use xenith::linux::process::Status;
use xenith::linux::signal::Signal;
use xenith::linux::table::TABLE;
use xenith::linux::{dev, proc, run, start};
use xenith::net::cable::{Options, cable};
use xenith_fuzz::disk::{disk, file};
use xenith_fuzz::{frame, on_machine};

/// An argument of a call, or a word of memory.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Word {
    /// A descriptor, a signal, a length.
    Small(u8),
    /// Somewhere in the program's data.
    Data(u16),
    /// One of the texts there.
    Text(u8),
    /// The result of one of the last calls.
    Result(u8),
    Bit(u8),
    /// Near an end: of what there is, of what a number may be.
    Edge(u8, i8),
    Any(u64),
}

/// What the program does next, whichever of its threads has its turn.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Step {
    Call(u16, [Word; 6]),
    Store(u16, Word),
    /// The stack is where it was at first.
    Stack,
    Event,
    Trap(u8),
    Fault {
        at: Word,
        write: bool,
        execute: bool,
        present: bool,
    },
}

/// Where the program's data are, and how many bytes.
const DATA: usize = 0x50_0000;
const SIZE: usize = 0x1_0000;

/// Paths that there are, and names of what is asked for by name.
const TEXTS: [&str; 16] = [
    "/bin/program",
    "/tmp/a",
    "/tmp/b/c",
    "/tmp/b",
    "..",
    ".",
    "",
    "/proc/self/fd/0",
    "/proc/self/maps",
    "/dev/ptmx",
    "/dev/zero",
    "/dev/tty",
    "/bin",
    "a",
    "user.name",
    "/proc/self/exe",
];
/// Bytes of each.
const TEXT: usize = 32;

/// A program: nothing that is executed, and its data.
fn program() -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    bytes.resize(16, 0);
    bytes.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend([0x40_0000_u64, 64, 0].iter().flat_map(|it| it.to_le_bytes()));
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
    for (flags, offset, at, length) in [(5, 0, 0x40_0000, PAGE), (6, PAGE, DATA, SIZE)] {
        bytes.extend([1_u32, flags].iter().flat_map(|it| it.to_le_bytes()));
        let rest = [offset, at, at, PAGE, length, PAGE];
        bytes.extend(rest.iter().flat_map(|it| (*it as u64).to_le_bytes()));
    }
    bytes.resize(PAGE, 0);
    for text in TEXTS {
        bytes.extend(text.as_bytes());
        bytes.resize(bytes.len() + TEXT - text.len(), 0);
    }
    bytes.resize(2 * PAGE, 0);
    bytes
}

impl Word {
    fn value(self, results: &[u64; 8]) -> u64 {
        match self {
            Self::Small(value) => value.into(),
            Self::Data(at) => DATA as u64 + u64::from(at),
            Self::Text(number) => (DATA + usize::from(number) % TEXTS.len() * TEXT) as u64,
            Self::Result(which) => results[usize::from(which) % results.len()],
            Self::Bit(bit) => 1 << (bit % 64),
            Self::Edge(which, offset) => {
                let ends = [0, 1 << 31, 1 << 32, 1 << 47, 1 << 63, (DATA + SIZE) as u64, 4096];
                let end = ends[usize::from(which) % ends.len()];
                // So many bytes from it, or so many pages.
                let unit = if usize::from(which) < 128 { 1 } else { PAGE as i64 };
                end.wrapping_add_signed(i64::from(offset) * unit)
            }
            Self::Any(value) => value,
        }
    }
}

/// Stores a word as the processor does: it may need a page first.
fn store(space: &Space, at: usize, value: u64) -> Exit {
    let at = DATA + at / 8 * 8;
    match space.frame(at / PAGE * PAGE) {
        Some((frame, access)) if access.contains(Access::WRITE) => {
            frame.write(at % PAGE, &value.to_le_bytes());
            Exit::Event
        }
        page => Exit::Page { address: at, write: true, execute: false, present: page.is_some() },
    }
}

fuzz_target!(|steps: Vec<Step>| {
    on_machine(async {
        let (own, _peer) = cable(Options::default());
        let ipv4 = Ipv4::Static(frame::STACK, 24);
        let Ok(stack) = Stack::start(own, Settings { ipv4, ..Settings::default() }) else { return };
        let root = [file("bin/program", 0o755, &program()), vec![0; 1024]].concat();
        let system = start::machine(stack, disk(root)).await.expect("a machine");
        let (mut steps, mut results, mut top) = (steps.into_iter(), [0; 8], None);
        play(move |space, context| {
            let registers = context.registers_mut();
            results.rotate_right(1);
            results[0] = registers.rax;
            let top = *top.get_or_insert(registers.rsp);
            let exit_group = Step::Call(231, [Word::Small(0); 6]);
            match steps.next().unwrap_or(exit_group) {
                Step::Call(number, words) => {
                    registers.rip = 0x40_0000 + u64::from(number % 256);
                    registers.rax = (usize::from(number) % (TABLE.len() + 8)) as u64;
                    let [rdi, rsi, rdx, r10, r8, r9] = words.map(|it| it.value(&results));
                    (registers.rdi, registers.rsi, registers.rdx) = (rdi, rsi, rdx);
                    (registers.r10, registers.r8, registers.r9) = (r10, r8, r9);
                    Exit::Call
                }
                Step::Store(at, word) => store(space, at.into(), word.value(&results)),
                Step::Stack => {
                    registers.rsp = top;
                    Exit::Event
                }
                Step::Event => Exit::Event,
                Step::Trap(vector) => Exit::Trap(Trap { vector: vector % 32, error: 0 }),
                Step::Fault { at, write, execute, present } => {
                    let address = at.value(&results) as usize;
                    Exit::Page { address, write, execute, present }
                }
            }
        });
        let wish = First {
            path: b"/bin/program",
            arguments: &[b"program"],
            environment: &[b"A=b"],
            ids: (0, 0),
        };
        let prepare = async |thread: &Rc<_>| {
            dev::mount(thread, Default::default()).await?;
            proc::mount(thread).await
        };
        let thread = first(&system, wish, run::body, prepare).await.expect("a program");
        // Those of the stack and of the console.
        let tasks = alive();
        thread.start().expect("memory");
        let over = async {
            sleep(Duration::from_secs(10)).await;
            system.processes().for_each(|it| it.end(Status::signal(Signal::KILL)));
        };
        if let Either::Second(()) = select(pin!(system.ended()), pin!(over)).await {
            system.ended().await;
        }
        assert!(system.threads() == 0 && system.processes().next().is_none(), "a process is left");
        assert!(system.futexes.is_empty(), "somebody waits");
        // A terminal's time limit outlives who read from it, and what was dropped is cancelled when
        // it next has its turn.
        sleep(Duration::from_secs(60)).await;
        assert_eq!(alive(), tasks, "a task is left");
    });
});
