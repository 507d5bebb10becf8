//! The calls about processes.

pub mod clone;
pub mod control;
pub mod group;
pub mod limit;
pub mod machine;
pub mod schedule;
pub mod user;
pub mod wait;
