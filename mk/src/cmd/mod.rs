//! The commands, one file each.

pub(crate) mod bench;
pub(crate) mod book;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod disk;
pub(crate) mod doctor;
pub(crate) mod fuzz;
pub(crate) mod host;
pub(crate) mod inspect;
pub(crate) mod migrate;
pub(crate) mod new;
pub(crate) mod profile;
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod save;
pub(crate) mod symbolize;
pub(crate) mod test;
pub(crate) mod tidy;
pub(crate) mod update;
