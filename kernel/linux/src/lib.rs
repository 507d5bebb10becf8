//! Runs Linux programs: unmodified x86-64 binaries, in user mode, over Xenith's devices.
//!
//! A program finds Linux's system calls (the x86-64 ABI of Linux 6.1), and beneath them are
//! this project's tasks, files and IP stack. Each process has an address space of its own, which
//! holds nothing of the kernel.
//!
//! * A thread is a task: [`thread`] runs user mode until the program needs something, does that,
//!   and goes on.
//! * A system call is a function `fn(&Rc<Thread>, Args) -> Answer` that is listed in a table with
//!   its number and name: see [`call`]. It answers at once, or with a future when it has to wait.
//! * What a program has open is a [`File`](file::File), and tells by a [`Watch`](watch::Watch)
//!   when it can be read or written.
//! * A byte that a program points to is read and written through its
//!   [`Memory`](memory::Memory), which checks what the program itself could do there.
//!
//! The numbers, flags and structures are those of Linux's headers (`linux-raw-sys`), and each
//! call does what its page in section 2 of the manual says.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(not(target_os = "xen"))]
extern crate std;

pub mod call;
pub mod channel;
pub mod dev;
pub mod errno;
pub mod exec;
mod fault;
pub mod file;
pub mod futex;
#[cfg(not(target_os = "xen"))]
mod host;
pub mod ipc;
pub mod memory;
pub mod poll;
pub mod proc;
pub mod process;
#[cfg(test)]
mod random;
pub mod run;
pub mod signal;
pub mod socket;
pub mod start;
pub mod stop;
pub mod system;
pub mod table;
#[cfg(test)]
mod testing;
pub mod thread;
pub mod time;
pub mod trace;
pub mod tty;
pub mod watch;

pub use errno::Errno;
