//! Begins programs: what execve(2) makes of a file, and how the first process comes to be.

pub mod calls;
mod elf;
mod first;
mod image;
mod source;
mod stack;
#[cfg(test)]
mod tests;
mod texts;
mod vdso;

pub use first::{First, first};
pub use source::{Programs, Source};
