//! Replaces a running service by a new image of it, which goes on with its connections and state.
//!
//! The two images are two domains of one host for a moment. The old one serves until the new one
//! has booted, has connected its devices and has said which versions of the state it takes. Then
//! the old one comes to rest, shows what it has as bytes in pages that only the new one may read,
//! and ends when that says that it serves. If the new one does not start, refuses the state or
//! says nothing in time, the old one goes on. The toolstack's part is `scripts/dom0/update`.
//!
//! An app names in its manifest what it keeps (`update: State`), gives it with [`keep`] and finds
//! it with [`inherited`]. The parts of the machine do the same by [`Part`] and [`section`]: a TCP
//! connection moves with the network stack that it is of. An image whose manifest has no such line
//! contains none of this. The parts meet in the network stack: a machine without one is not updated.
//!
//! # Example
//! ```
//! # use xenith_kernel as xenith;
//! use serde::{Deserialize, Serialize};
//! use std::cell::Cell;
//! use std::rc::Rc;
//!
//! /// What a counter keeps: `update: counter::Kept` in its manifest.
//! #[derive(Serialize, Deserialize)]
//! struct Kept {
//!     count: u64,
//! }
//!
//! impl xenith::update::State for Kept {
//!     const VERSION: u32 = 1;
//! }
//!
//! async fn start() {
//!     let before = xenith::update::inherited::<Kept>();
//!     let count = Rc::new(Cell::new(before.map_or(0, |kept| kept.count)));
//!     let kept = Rc::clone(&count);
//!     xenith::update::keep(move || Kept { count: kept.get() });
//! }
//! # xenith::task::block_on(start());
//! ```

#[cfg(any(target_os = "xen", test))]
mod stream;
#[cfg(any(target_os = "xen", test))]
mod words;
#[cfg(target_os = "xen")]
mod xen;

use crate::machine;
use crate::sync::Wakers;
use crate::task::spawn;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spin::Mutex;

/// What an app keeps when a new image of it takes over.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use serde::{Deserialize, Serialize};
/// use xenith::update::{State, decode, encode};
///
/// /// What is kept since version 2.
/// #[derive(Serialize, Deserialize)]
/// struct Kept {
///     visits: u64,
///     name: String,
/// }
///
/// impl State for Kept {
///     const VERSION: u32 = 2;
///     const OLDEST: u32 = 1;
///
///     fn load(version: u32, bytes: &[u8]) -> Option<Self> {
///         match version {
///             // There was only the number.
///             1 => Some(Self { visits: decode(bytes)?, name: "nobody".into() }),
///             2 => decode(bytes),
///             _ => None,
///         }
///     }
/// }
///
/// let old = encode(&7_u64, Vec::new()).unwrap();
/// assert_eq!(Kept::load(1, &old).unwrap().visits, 7);
/// assert!(Kept::load(3, &old).is_none());
/// ```
pub trait State: Serialize + DeserializeOwned + 'static {
    /// Counts the formats of this type: a change of its fields is another version.
    const VERSION: u32;

    /// The oldest version that [`load`](Self::load) understands.
    const OLDEST: u32 = Self::VERSION;

    /// Reads what an image with [`VERSION`](Self::VERSION) `version` wrote. `None` refuses it, and
    /// the old image goes on.
    fn load(version: u32, bytes: &[u8]) -> Option<Self> {
        if version == Self::VERSION { decode(bytes) } else { None }
    }
}

/// Reads a value that [`encode`] wrote, and nothing behind it.
pub fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

/// Writes a value to the end of `to`, in the format of the crate `postcard`. Returns `None`, and
/// has perhaps written some of it, if it cannot be.
pub fn encode(value: &impl Serialize, to: Vec<u8>) -> Option<Vec<u8>> {
    postcard::to_extend(value, to).ok()
}

/// Says why an image does not take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The old image's state is refused.
    Refused(&'static str),
    /// The old image goes on: it refused, was not fast enough, or is gone.
    Withdrawn,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "the state of the former image is refused: {why}"),
            Self::Withdrawn => f.write_str("the former image goes on serving"),
        }
    }
}

impl core::error::Error for Error {}

/// Says how far an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// A successor is ready. All is served as before; what was begun before this phase has
    /// [`grace`](crate::shutdown::grace) to end, 15 s at most, and the parts that wait for that are
    /// done then.
    Soon,
    /// What is still under way is finished or cut off within a second, and nothing is begun.
    Rest,
    /// From now on nothing changes. [`Part::done`] takes what the successor is to know, which is
    /// small or of [`Part::room`] bytes at most.
    Save,
    /// The successor serves: [`Part::done`] takes what has arrived here since.
    Late,
    /// There is no successor any more: all goes on as before.
    Resume,
}

/// Bytes of one part.
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The state of updates.
struct Updates {
    phase: Phase,
    /// How many phases there were.
    steps: u32,
    /// Parts by what they hand over, and those of them that are not done with the phase.
    parts: [usize; 3],
    busy: [usize; 3],
    /// A part failed in this phase.
    failed: bool,
    /// What is handed over.
    given: Vec<Section>,
    /// What was taken over and nobody has asked for.
    taken: Vec<Section>,
    /// What came late, and whether there is more of that to come.
    late: Vec<Section>,
    expects_late: bool,
    /// How many bytes the successor takes.
    room: usize,
    /// Which domain is the former image, and by what its offer is taken.
    #[cfg(target_os = "xen")]
    offer: Option<(::xen::DomId, ::xen::gnttab::GrantRef)>,
    /// The app's versions: what it writes, and from where on it reads.
    versions: (u32, u32),
    /// Whether the app takes its section.
    judge: fn(u32, &[u8]) -> bool,
    waiting: Wakers,
}

machine::local! {
    /// The state of this machine's updates.
    static UPDATES: Mutex<Updates> = Mutex::new(Updates {
        phase: Phase::Resume,
        steps: 0,
        parts: [0; 3],
        busy: [0; 3],
        failed: false,
        given: Vec::new(),
        taken: Vec::new(),
        late: Vec::new(),
        expects_late: false,
        room: usize::MAX,
        #[cfg(target_os = "xen")]
        offer: None,
        versions: (0, 0),
        judge: |_, _| true,
        waiting: Wakers::new(),
    });
}

/// Whether the manifest has an `update` line. A static of its own, so that the compiler leaves out
/// what depends on it where nothing writes it.
static ACTIVE: AtomicBool = AtomicBool::new(false);

/// The section of the app's own state.
const APP: &str = "app";

/// Returns whether this machine may be updated: its manifest says what it keeps, and it is a
/// domain.
#[must_use]
pub fn is_active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

/// Makes the machine one that may be updated; the macro of the manifest calls it.
#[doc(hidden)]
pub fn enable<S: State>() {
    let mut updates = UPDATES.get().lock();
    updates.versions = (S::VERSION, S::OLDEST);
    updates.judge = |version, bytes| S::load(version, bytes).is_some();
    ACTIVE.store(cfg!(target_os = "xen"), Ordering::Relaxed);
}

/// Refuses to compile a manifest with one of `states` whose devices stand in the wrong order; the macro
/// of the manifest calls it. Of each device it is told whether the domain may lack it, and whether
/// opening it takes over.
#[doc(hidden)]
pub const fn check_order(states: &[&str], devices: &[(bool, bool)]) {
    let (mut at, mut taken_over) = (0, false);
    while at < devices.len() && !states.is_empty() {
        let (may_lack, takes_over) = devices[at];
        taken_over |= takes_over;
        assert!(
            !may_lack || takes_over || !taken_over,
            "with `update`, disks stand before the network: a new image that lacks one must not take over"
        );
        at += 1;
    }
}

/// Bytes for the heads of what is handed over.
const HEADS: usize = 1024;

impl Updates {
    /// Begins a phase, of which those who wait are to be [told](wake).
    #[cfg(any(target_os = "xen", test))]
    fn begin(&mut self, phase: Phase) {
        self.phase = phase;
        self.steps = self.steps.wrapping_add(1);
        self.busy = self.parts;
        self.failed = false;
        self.given = Vec::new();
    }

    /// Returns whether all parts are done with the phase, or one failed.
    #[cfg(any(target_os = "xen", test))]
    fn is_over(&self) -> bool {
        self.failed || self.busy == [0; 3]
    }

    /// Returns how many bytes one of the parts that fill what room there is may hand over: its share
    /// of what the successor has memory for, and this image to write them. `None` while the app has
    /// not written its own, which comes first, as none of it can be left behind.
    fn share(&self) -> Option<usize> {
        if self.busy[Kind::App as usize] > 0 && !self.failed {
            return None;
        }
        let given: usize = self.given.iter().map(|it| it.bytes.len()).sum();
        // They are packed, and copied into pages that are granted: three times what is given, of which
        // one is there.
        let memory = match machine::memory_left() {
            (0, _) => usize::MAX,
            (_, left) => left.saturating_add(given) / 4,
        };
        let left = self.room.saturating_sub(HEADS).min(memory).saturating_sub(given);
        Some(left / self.busy[Kind::Filling as usize].max(1))
    }
}

/// Wakes those who wait for a change: without the lock, as a waker may ask for the state.
fn wake() {
    let mut waiting = core::mem::take(&mut UPDATES.get().lock().waiting);
    waiting.wake();
}

/// Waits until `look` finds something, which it is asked for after each change.
async fn wait<T>(mut look: impl FnMut(&mut Updates) -> Option<T>) -> T {
    poll_fn(|context: &mut Context<'_>| {
        let mut updates = UPDATES.get().lock();
        match look(&mut updates) {
            Some(found) => Poll::Ready(found),
            None => {
                updates.waiting.add(context.waker());
                Poll::Pending
            }
        }
    })
    .await
}

/// Returns what the former image kept, once; `None` if there was none.
#[must_use]
pub fn inherited<S: State>() -> Option<S> {
    let section = take_section(APP)?;
    S::load(section.version, &section.bytes)
}

/// Gives the next image what `save` returns when it takes over.
pub fn keep<S: State>(save: impl Fn() -> S + 'static) {
    if !is_active() {
        return;
    }
    spawn(async move {
        let mut part = Part::of(Kind::App);
        loop {
            match part.next().await {
                Phase::Save => match encode(&save(), Vec::new()) {
                    Some(bytes) => part.done(Some((APP, S::VERSION, bytes))),
                    None => part.failed(),
                },
                _ => part.done(None),
            }
        }
    })
    .detach();
}

/// Takes part in updates. Each [`Phase`] begins when all parts are [done](Part::done) with the one
/// before; one that is dropped is not waited for.
#[derive(Debug)]
pub struct Part {
    kind: Kind,
    seen: u32,
    owes: bool,
}

/// What a part hands over.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The app's state, of which all is needed.
    App,
    /// As much as there is room for.
    Filling,
    /// Little, or nothing.
    Small,
}

impl Part {
    /// Makes a part of updates that begin from now on, which hands over little or nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Kind::Small)
    }

    /// Makes one that hands over as much as there is [room](Self::room) for.
    #[must_use]
    pub fn filling() -> Self {
        Self::of(Kind::Filling)
    }

    fn of(kind: Kind) -> Self {
        let mut updates = UPDATES.get().lock();
        updates.parts[kind as usize] += 1;
        Self { kind, seen: updates.steps, owes: false }
    }

    /// Waits until the app has written its state, and returns how many bytes this part may hand
    /// over: its share of what the successor has memory for. It is asked in [`Phase::Save`].
    pub async fn room(&self) -> usize {
        wait(|updates| updates.share()).await
    }

    /// Waits for the next phase. It is to be answered by [`done`](Self::done) or
    /// [`failed`](Self::failed). Dropping the future loses nothing.
    pub async fn next(&mut self) -> Phase {
        let seen = self.seen;
        let (steps, phase) = wait(|it| (it.steps != seen).then_some((it.steps, it.phase))).await;
        (self.seen, self.owes) = (steps, true);
        phase
    }

    /// Returns the phase that it has not answered, if there is one.
    #[must_use]
    pub fn owed(&self) -> Option<Phase> {
        let updates = UPDATES.get().lock();
        (self.owes && self.seen == updates.steps).then_some(updates.phase)
    }

    /// Ends its part of the phase, with bytes of a name and a version for the successor.
    pub fn done(&mut self, section: Option<(&str, u32, Vec<u8>)>) {
        self.answer(|updates| {
            let section = section.map(|(name, version, bytes)| Section {
                name: name.to_owned(),
                version,
                bytes,
            });
            updates.given.extend(section);
        });
    }

    /// Says that the update is not possible.
    pub fn failed(&mut self) {
        self.answer(|updates| updates.failed = true);
    }

    fn answer(&mut self, note: impl FnOnce(&mut Updates)) {
        let mut updates = UPDATES.get().lock();
        // What comes after the phase was given up counts for nothing.
        if core::mem::take(&mut self.owes) && self.seen == updates.steps {
            let busy = &mut updates.busy[self.kind as usize];
            *busy = busy.saturating_sub(1);
            note(&mut updates);
            drop(updates);
            wake();
        }
    }
}

impl Default for Part {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut updates = UPDATES.get().lock();
        let kind = self.kind as usize;
        updates.parts[kind] = updates.parts[kind].saturating_sub(1);
        if self.owes || self.seen != updates.steps {
            updates.busy[kind] = updates.busy[kind].saturating_sub(1);
            drop(updates);
            wake();
        }
    }
}

fn take_section(name: &str) -> Option<Section> {
    let mut updates = UPDATES.get().lock();
    let at = updates.taken.iter().position(|it| it.name == name)?;
    Some(updates.taken.swap_remove(at))
}

#[cfg(target_os = "xen")]
pub use xen::{section, take};

/// Returns what the former image's part `name` handed over with `version`; `None` if there is no
/// former image, or it had no such part. The first call waits for the former image to come to
/// rest, so what takes time has to be done before.
///
/// # Errors
/// See [`Error`].
#[cfg(not(target_os = "xen"))]
pub async fn section(name: &str, version: u32) -> Result<Option<Vec<u8>>, Error> {
    Ok(take_section(name).filter(|it| it.version == version).map(|it| it.bytes))
}

/// Takes over: from here on the former image serves no more, and this one has to.
///
/// # Errors
/// [`Error::Withdrawn`]: this image must end, without a word to anyone.
#[cfg(not(target_os = "xen"))]
pub async fn take() -> Result<(), Error> {
    Ok(())
}

/// Waits for what arrived at the former image's part `name` after it came to rest, again and again.
/// `None` when nothing more will come.
pub async fn late(name: &str) -> Option<Vec<u8>> {
    let section = wait(|updates| {
        let at = updates.late.iter().position(|it| it.name == name);
        match at {
            Some(at) => Some(Some(updates.late.swap_remove(at).bytes)),
            None => (!updates.expects_late).then_some(None),
        }
    })
    .await;
    if section.is_some() {
        wake();
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{block_on, join};
    use crate::time::sleep;
    use core::time::Duration;

    /// What a part of each sort has room for, where the app's part needs `app` bytes and a second.
    fn shares(room: usize, app: usize) -> Vec<usize> {
        crate::testing::simulate_time();
        let mut shares = Vec::new();
        block_on(async {
            let (mut one, mut other) = (Part::filling(), Part::filling());
            let (mut own, mut small) = (Part::of(Kind::App), Part::new());
            UPDATES.get().lock().room = room;
            UPDATES.get().lock().begin(Phase::Save);
            wake();
            let rest = async {
                assert_eq!((own.next().await, small.next().await), (Phase::Save, Phase::Save));
                small.done(None);
                sleep(Duration::from_secs(1)).await;
                own.done(Some((APP, 1, alloc::vec![0; app])));
            };
            let filling = async {
                for part in [&mut one, &mut other] {
                    assert_eq!(part.next().await, Phase::Save);
                    let share = part.room().await;
                    shares.push(share);
                    part.done(Some(("net", 1, alloc::vec![0; share])));
                }
            };
            join(filling, rest).await;
            let mut updates = UPDATES.get().lock();
            assert!(updates.is_over() && !updates.failed);
            let given: usize = updates.given.iter().map(|it| it.bytes.len()).sum();
            assert!(given <= room.max(app), "{given} of {room}");
            updates.given = Vec::new();
            updates.room = usize::MAX;
        });
        shares
    }

    #[test]
    fn what_may_be_missing_is_opened_before_the_network_takes_over() {
        let (disk, net, console) = ((true, false), (true, true), (false, false));
        let compiles = |states: &[&str], devices: &[(bool, bool)]| {
            std::panic::catch_unwind(|| check_order(states, devices)).is_ok()
        };
        assert!(compiles(&["Kept"], &[disk, console, disk, net, net, console]));
        assert!(compiles(&[], &[net, disk]));
        assert!(!compiles(&["Kept"], &[disk, net, disk]));
    }

    /// Notes how often it is woken, and whether the state could be asked for each time.
    #[derive(Default)]
    struct Asks(core::sync::atomic::AtomicU32, AtomicBool);

    impl alloc::task::Wake for Asks {
        fn wake(self: alloc::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.fetch_or(UPDATES.get().try_lock().is_none(), Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_woken_may_ask_for_the_state() {
        crate::testing::simulate_time();
        let asks = alloc::sync::Arc::new(Asks::default());
        let waker = asks.clone().into();
        let waits = || UPDATES.get().lock().waiting.add(&waker);
        let (mut one, mut other) = (Part::new(), Part::new());
        UPDATES.get().lock().begin(Phase::Rest);
        block_on(async {
            assert_eq!((one.next().await, other.next().await), (Phase::Rest, Phase::Rest));
            waits();
            one.done(None);
            waits();
            drop(other);
            waits();
            let section = Section { name: "net".to_owned(), version: 1, bytes: Vec::new() };
            UPDATES.get().lock().late.push(section);
            assert_eq!(late("net").await, Some(Vec::new()));
        });
        let woken = asks.0.load(Ordering::Relaxed);
        assert_eq!((woken, asks.1.load(Ordering::Relaxed)), (3, false));
    }

    #[test]
    fn the_app_has_its_room_and_stacks_share_what_is_left() {
        assert_eq!(shares(HEADS + 10_000, 4000), [3000, 3000]);
        assert_eq!(shares(HEADS + 10_000, 0), [5000, 5000]);
        // There is not enough for the app itself, which is found out with the whole.
        assert_eq!(shares(HEADS + 10_000, 20_000), [0, 0]);
    }
}
