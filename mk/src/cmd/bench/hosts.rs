//! The hosts that something is measured on.

use crate::ui::Ui;
use anyhow::Result;
use lab::{Host, Options};
use std::time::Duration;

/// Time for a guest's run, which is slow where instructions are counted.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// Boots hosts: one for each measurement, or two for all of them.
pub(super) struct Hosts<'a> {
    pub(super) ui: &'a Ui,
    /// What the hosts have that are kept, in real time and where instructions are counted.
    shared: Option<[Options; 2]>,
    kept: [Option<Host>; 2],
}

impl<'a> Hosts<'a> {
    /// Each measurement has its own.
    pub(super) const fn own(ui: &'a Ui) -> Self {
        Self { ui, shared: None, kept: [None, None] }
    }

    /// Two for all, which have what any of them needs, and nothing of each other's: one in real
    /// time, and one where instructions are counted.
    pub(super) const fn shared(options: [Options; 2], ui: &'a Ui) -> Self {
        Self { ui, shared: Some(options), kept: [None, None] }
    }

    /// Whether hosts have disks already; those of their own, measurements make themselves.
    pub(super) const fn have_disks(&self) -> bool {
        self.shared.is_some()
    }

    /// Measures on a host with these options.
    ///
    /// # Errors
    /// When it does not come up, and those of `measure`.
    pub(super) fn with<T>(
        &mut self,
        options: &Options,
        measure: impl FnOnce(&Host) -> Result<T>,
    ) -> Result<T> {
        let Some(shared) = &self.shared else {
            let host = Host::boot(options, self.ui)?;
            let result = measure(&host)?;
            self.ui.done();
            host.shutdown()?;
            return Ok(result);
        };
        let which = usize::from(options.icount);
        let host = match &mut self.kept[which] {
            Some(host) => host,
            none => none.insert(Host::boot(&shared[which], self.ui)?),
        };
        let result = measure(host)?;
        // Which is memory of dom0, and the next one needs it.
        host.shell("unstage all")?.success()?;
        Ok(result)
    }

    /// Ends those that are kept.
    ///
    /// # Errors
    /// When one does not.
    pub(super) fn shutdown(self) -> Result<()> {
        self.ui.done();
        self.kept.into_iter().flatten().try_for_each(Host::shutdown)
    }
}
