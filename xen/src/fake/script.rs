//! What to do wrong, and when.

/// Wrongs in the order in which they were asked for.
pub(super) struct Script<T> {
    /// Each with the number of chances to let pass first; `None` is "from now on".
    entries: Vec<(Option<u32>, T)>,
}

impl<T> Default for Script<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Clone> Script<T> {
    /// From now on.
    pub(super) fn always(&mut self, wrong: T) {
        self.entries.push((None, wrong));
    }

    /// Once, after `skip` chances.
    pub(super) fn once(&mut self, skip: u32, wrong: T) {
        self.entries.push((Some(skip), wrong));
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// A chance for the wrongs that `fits`: those that are to be done now.
    pub(super) fn take(&mut self, fits: impl Fn(&T) -> bool) -> Vec<T> {
        let mut now = Vec::new();
        self.entries.retain_mut(|(skip, wrong)| {
            if !fits(wrong) {
                return true;
            }
            match skip {
                Some(0) => now.push(wrong.clone()),
                Some(skip) => {
                    *skip -= 1;
                    return true;
                }
                None => {
                    now.push(wrong.clone());
                    return true;
                }
            }
            false
        });
        now
    }

    /// Whether one of those that `fits` is to be done, now or later.
    pub(super) fn has(&self, fits: impl Fn(&T) -> bool) -> bool {
        self.entries.iter().any(|(_, wrong)| fits(wrong))
    }
}
