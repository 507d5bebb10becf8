//! Connections that nobody holds any more and that still have something to say: what was
//! written and the end of it, a reset, or the acknowledgement of the peer's end, behind which
//! they [wait](crate::tcp::time_wait) as plain data.

use super::limit::Limit;
use super::stack::{Handle, Parting, Protocols};
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::time::Duration;
use kernel::time::Instant;

/// Connections that are reset, or about to wait, and that had no way to say so yet. With more
/// than this, the oldest are silent.
pub(super) const LEAVING: usize = 16;

/// How long that may take.
pub(super) const LEAVE: Duration = Duration::from_secs(12);

/// How long one that was dropped may take to close in order.
const CLOSE: Duration = Duration::from_secs(30);

/// So many are looked at in a turn. Turns come with each frame, and peers decide how many there are.
const LOOKS: usize = 64;

/// When the others are, if there is no turn before.
const OTHERS: Duration = Duration::from_millis(20);

/// One of them.
#[derive(Clone, Copy)]
struct Leaver {
    handle: Handle,
    until: Instant,
    /// It was dropped while it was open, and closes in order.
    orderly: bool,
}

/// All of them, the oldest first.
pub(super) struct Leavers {
    name: Rc<str>,
    all: Vec<Leaver>,
    /// Where the next turn begins to look.
    next: usize,
    /// Lines of the log.
    lines: Limit,
}

impl Leavers {
    /// None yet. Lines of the log begin with `name`.
    pub(super) fn new(name: Rc<str>) -> Self {
        Self { name, all: Vec::new(), next: 0, lines: Limit::new(Instant::now()) }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns whether there is memory for one more, which is to be asked before it is added.
    pub(super) fn has_memory(&mut self) -> bool {
        self.all.try_reserve(1).is_ok()
    }

    /// Lets a connection say what it has to say for so long.
    pub(super) fn add(&mut self, handle: Handle, time: Duration) {
        let until = Instant::now().saturating_add(time);
        self.all.push(Leaver { handle, until, orderly: false });
    }

    /// Closes an open connection in order.
    pub(super) fn abandon(&mut self, handle: Handle, protocols: &mut Protocols) {
        if !matches!(protocols.parting(handle), Parting::Unread(_)) {
            protocols.end(handle);
        }
        let until = Instant::now().saturating_add(CLOSE);
        self.all.push(Leaver { handle, until, orderly: true });
    }

    /// Lets one close in order that has said so in another image.
    pub(super) fn adopt(&mut self, handle: Handle) {
        let until = Instant::now().saturating_add(CLOSE);
        self.all.push(Leaver { handle, until, orderly: true });
    }

    /// Those that close in order.
    pub(super) fn orderly(&self) -> impl Iterator<Item = Handle> + Clone {
        self.all.iter().filter(|it| it.orderly).map(|it| it.handle)
    }

    /// Frees the socket of an old one whose peer has all.
    pub(super) fn make_room(&mut self, protocols: &mut Protocols) {
        let mut told = |it: &Leaver| {
            !it.orderly || matches!(protocols.parting(it.handle), Parting::Waiting | Parting::Over)
        };
        // Some of them, as each SYN may ask for this: the oldest, and those whose turn it is.
        let mut places = (0..LOOKS).chain(self.next..self.next + LOOKS);
        if let Some(at) = places.find(|&at| self.all.get(at).is_some_and(&mut told)) {
            let leaver = self.all.remove(at);
            protocols.drop_connection(leaver.handle);
        }
    }

    /// Removes those that have said all they had to say, and resets those whose time is
    /// over or whose bytes nobody will read. At most `bound` may be closing in order, if
    /// there is one. Looks at [`LOOKS`] of them, at others the next time, and returns when that is.
    pub(super) fn part(
        &mut self,
        protocols: &mut Protocols,
        bound: Option<usize>,
        now: Instant,
    ) -> Option<Instant> {
        let orderly = self.all.iter().filter(|it| it.orderly).count();
        let told = self.all.len() - orderly;
        let bounds =
            bound.map(|bound| (orderly.saturating_sub(bound), told.saturating_sub(LEAVING)));
        let (mut resets, mut drops) = bounds.unwrap_or_default();
        let few = self.all.len() <= LOOKS;
        // Where too many close in order, the oldest go.
        let mut at = if few || resets > 0 { 0 } else { self.next };
        let (mut looks, mut reset) = (0, false);
        while looks < LOOKS
            && let Some(leaver) = self.all.get(at).copied()
        {
            looks += 1;
            let handle = leaver.handle;
            if protocols.retire(handle, now) {
                self.all.remove(at);
                continue;
            }
            let (over, last) = (protocols.is_quiet(handle), leaver.until <= now);
            let parting = match leaver.orderly && bound.is_some() && !over {
                true => protocols.parting(handle),
                false => Parting::Over,
            };
            let full = leaver.orderly && resets > 0;
            let lost = match parting {
                Parting::Unread(bytes) => Some((bytes, "that came were not read")),
                Parting::Ending(bytes) if last || full => {
                    Some((bytes, "that were written were not acknowledged"))
                }
                _ => None,
            };
            resets -= usize::from(full);
            if let Some((bytes, why)) = lost {
                if self.lines.take(now) {
                    let (name, (_, peer)) = (&self.name, protocols.ends(handle));
                    log::debug!(
                        "{name}: the connection with {peer}, which was dropped, is reset: {bytes} bytes {why}"
                    );
                }
                protocols.abort(handle);
                self.all[at] =
                    Leaver { until: now.saturating_add(LEAVE), orderly: false, ..leaver };
                reset = true;
            } else if over || last || full || (!leaver.orderly && drops > 0) {
                drops = drops.saturating_sub(usize::from(!leaver.orderly));
                self.all.remove(at);
                protocols.drop_connection(handle);
                continue;
            } else if leaver.orderly && parting == Parting::Over && bound.is_some() {
                // Both have ended.
                self.all[at] =
                    Leaver { until: now.saturating_add(LEAVE), orderly: false, ..leaver };
            }
            at += 1;
        }
        self.next = if at < self.all.len() { at } else { 0 };
        match (reset, few) {
            (true, _) => Some(now),
            (_, true) => self.all.iter().map(|it| it.until).min(),
            (_, false) => Some(now.saturating_add(OTHERS)),
        }
    }
}
