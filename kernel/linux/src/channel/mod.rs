//! What threads and processes pass bytes, counts and times through: pipes, eventfd, timerfd.

pub mod calls;
mod event;
pub mod fifo;
mod pipe;
mod timer;

pub use event::Event;
pub use pipe::{CAPACITY, Pipe, PipeEnd};
pub use timer::{Clock, Setting, Timer};
