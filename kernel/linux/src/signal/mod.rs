//! Signals: what they are, who gets them, and how a program's handler is called (signal(7)).

mod action;
pub mod calls;
mod deliver;
mod descriptor;
mod frame;
mod info;
mod queue;
mod receiver;
mod report;
mod set;
mod signals;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waits;

pub use action::{Action, Default};
pub(crate) use deliver::{Interrupted, deliver};
pub use descriptor::SignalFile;
pub use info::Info;
pub use queue::{Full, Queue};
pub use receiver::{Receiver, Stack};
pub use set::{Set, Signal};
pub use signals::{Sent, Signals};
