//! One run of a test guest.

use crate::cmd::build::Image;
use crate::directives::Run;
use crate::project::Guest;
use crate::symbols::Symbols;

/// A run of a guest, to be done.
pub(super) struct Job<'a> {
    pub(super) name: String,
    pub(super) guest: &'a Guest,
    pub(super) image: &'a Image,
    /// The guests beside it, with their command lines.
    pub(super) with: Vec<(&'a Image, Option<String>)>,
    pub(super) run: Run,
    /// What dom0 calls those of its disks that are files of this machine.
    pub(super) targets: Vec<Option<String>>,
    pub(super) symbols: Symbols,
}
