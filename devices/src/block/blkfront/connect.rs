//! Negotiates, supervises and ends the connection of a disk.

use super::connection::{Abilities, Connection};
use super::settle::settle;
use super::state::{SLOW, State};
use super::{Error, shown};
use crate::block::{Discard, ErrorKind, Info};
use crate::frontend::waiters::Waiters;
use crate::frontend::{self, Driver, End, Outcome};
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use kernel::task::{Either, select, select3};
use kernel::time::{Instant, sleep, timeout};
use xen::evtchn::Port;
use xen::gnttab::ReadWriteGrant;
use xen::memory::PAGE_SIZE;
use xen::public::io::blkif::{
    INDIRECT_MAX, OP_FLUSH_DISKCACHE, OP_WRITE_BARRIER, SECTOR, SEGMENTS_MAX, VDISK_READONLY,
};
use xen::ring::Front;
use xen::xenbus::{Frontend, XenbusState, read_number};
use xen::xenstore::Watch;

/// The longest time that a disk may be disconnected before waiting requests fail.
const AWAY: Duration = Duration::from_secs(30);

/// Time for xenstore to say whether a disk was removed on purpose.
const SOON: Duration = Duration::from_secs(1);

/// The time between two checks of the ring while requests are on it (rule E7).
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the number of the disk that `id` names: by Xen's numbering of `xvda` and on (its
/// docs/misc/vbd-interface.txt), or a number as it is.
fn number(id: &str) -> Option<u32> {
    if let Some(number) = xen::xenbus::number(id.as_bytes()) {
        return u32::try_from(number).ok();
    }
    let rest = id.strip_prefix("xvd")?.as_bytes();
    let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
    let (letters, partition) = rest.split_at(letters);
    if letters.is_empty() || letters.len() > 3 {
        return None;
    }
    let disk = letters.iter().fold(0, |disk, letter| disk * 26 + u32::from(letter - b'a') + 1) - 1;
    let partition = match partition {
        [] => 0,
        digits => xen::xenbus::number(digits).filter(|number| (1..256).contains(number))? as u32,
    };
    Some(match disk < 16 && partition < 16 {
        true => 202 << 8 | disk << 4 | partition,
        false => 1 << 28 | disk << 8 | partition,
    })
}

/// Returns the name of the disk of a node: the reverse of [`number`].
pub(super) fn name(node: &str) -> String {
    let number = xen::xenbus::number(node.as_bytes()).and_then(|it| u32::try_from(it).ok());
    let (disk, partition) = match number {
        Some(number) if number >> 8 == 202 => (number >> 4 & 15, number & 15),
        Some(number) if number >> 28 == 1 => (number >> 8 & 0xf_ffff, number & 255),
        _ => return node.into(),
    };
    // Letters are digits without a zero: z is followed by aa.
    let (mut letters, mut rest) = (String::new(), disk + 1);
    while rest > 0 {
        letters.insert(0, char::from(b'a' + ((rest - 1) % 26) as u8));
        rest = (rest - 1) / 26;
    }
    match partition {
        0 => format!("xvd{letters}"),
        _ => format!("xvd{letters}{partition}"),
    }
}

/// Finds the node of disk `id`, or of the disk with the lowest number.
pub(super) async fn find(id: &str) -> Result<String, Error> {
    let node = match id {
        "" => String::new(),
        id => number(id).ok_or_else(|| Error::Name(id.into()))?.to_string(),
    };
    let found = frontend::find("vbd", &node).await;
    let found = found.map_err(|error| Error::Connection(shown(id), error.into()))?;
    found.map_err(|others| Error::Missing(shown(id), others.iter().map(|it| name(it)).collect()))
}

/// Keeps the disk connected, and its requests timed, until it is dropped.
pub(super) async fn run(state: Rc<State>, id: String) {
    let connected = async {
        frontend::run(&*state, &id).await;
        // Nobody connects the disk again, nor will who waits for that be answered.
        state.fail(ErrorKind::Gone, false);
        core::future::pending::<()>().await;
    };
    select3(connected, watchdog(&state), settle(&state)).await;
}

/// Checks the ring and its timeouts once a second while needed (rules B10, E7).
async fn watchdog(state: &State) {
    // Responses pending at the last check, and whether one was overdue then.
    let (mut waited, mut late) = (0, false);
    loop {
        poll_fn(|context| {
            let connection = state.connection.borrow();
            let busy = connection.as_ref().is_none_or(|connection| connection.in_flight() > 0);
            if busy && state.refusal().is_none() {
                return Poll::Ready(());
            }
            state.watchdog.wait(context.waker());
            Poll::Pending
        })
        .await;
        sleep(CHECK_INTERVAL).await;
        if let Some(connection) = state.connection.borrow_mut().as_mut() {
            waited = check(state, connection, waited);
            // A domain that was paused meanwhile finds the responses on the ring, or the back end, whose
            // host was, has a second more for them.
            let overdue = connection.is_overdue();
            if core::mem::replace(&mut late, overdue) && overdue {
                judge(state, connection);
            }
            continue;
        }
        late = false;
        let since = state.disconnected.get();
        if since.is_some_and(|since| since.elapsed() >= AWAY) && state.refusal().is_none() {
            log::error!("{}: disconnected, requests fail until it is back", state.name);
            state.fail(ErrorKind::Gone, false);
        }
    }
}

/// Ends the connection if a response is still overdue once all that are on the ring are taken: others
/// that nothing announces do not put that off.
fn judge(state: &State, connection: &mut Connection) {
    let taken = connection.reap(&mut state.queue.borrow_mut());
    state.wake_answered();
    state.driver.wake();
    if let Err(violation) = taken {
        return state.broken(violation);
    }
    if !connection.is_overdue() || state.late.replace(true) {
        return;
    }
    // One that an app keeps asking keeps silent every 31 s (rule K3).
    if state.lines.allow() {
        let (name, seconds) = (&state.name, connection.oldest().as_secs());
        log::error!("{name}: the back end has not responded for {seconds} s: reconnecting");
    }
    state.supervisor.wake();
}

/// Checks the ring once; returns the number of pending responses.
fn check(state: &State, connection: &mut Connection, waited: u32) -> u32 {
    if connection.oldest() >= SLOW && !connection.notify_again() {
        // The back end closed its port (rule E8); a new connection has another one.
        state.port_closed.set(true);
        state.supervisor.wake();
    }
    // An index that is out of range is found where responses are taken.
    let waiting = connection.pending().unwrap_or(1);
    if waiting > 0 && waited > 0 {
        state.count(|stats| stats.lost_events += 1);
        connection.wake();
    }
    waiting
}

/// What the back end publishes about the disk.
struct Terms {
    size: Size,
    read_only: bool,
    discard: Option<Discard>,
    abilities: Abilities,
}

/// A disk's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    sector: u32,
    sectors: u64,
}

impl Size {
    /// Returns the size of `units` times 512 bytes in sectors of `sector` bytes, if it is
    /// valid (rule B3).
    fn new(units: u64, sector: u64) -> Option<Self> {
        let fits = sector.is_power_of_two() && (SECTOR as u64..=PAGE_SIZE as u64).contains(&sector);
        units.checked_mul(SECTOR as u64).filter(|_| fits)?;
        Some(Self { sector: sector as u32, sectors: units / (sector / SECTOR as u64) })
    }

    async fn read(front: &Frontend) -> Result<Self, frontend::Error> {
        // A missing number of sectors is as invalid as one that is too large.
        let numbers = [("sectors", u64::MAX, u64::MAX), ("sector-size", u64::MAX, SECTOR as u64)];
        let [units, sector] = front.numbers(numbers).await?;
        Self::new(units, sector)
            .ok_or(frontend::Error::Unfit("published no valid size (nodes sectors, sector-size)"))
    }
}

/// Reads what the back end publishes; `most` is the number of pages for data.
async fn terms(front: &Frontend, most: usize) -> Result<Terms, frontend::Error> {
    let size = Size::read(front).await?;
    let feature = |name| (name, 1, 0);
    let number = |name| (name, u64::MAX, 0);
    let numbers = [
        number("info"),
        feature("feature-flush-cache"),
        feature("feature-barrier"),
        feature("feature-discard"),
        number("discard-granularity"),
        number("discard-alignment"),
        number("feature-max-indirect-segments"),
        feature("feature-persistent"),
    ];
    let [info, flush, barrier, discard, granularity, alignment, segments, persistent] =
        front.numbers(numbers).await?;
    let (flush, barrier) = (flush == 1, barrier == 1);
    let sector = u64::from(size.sector);
    // The default granularity is a sector.
    let [granularity, alignment] = [granularity.max(sector), alignment];
    let whole = granularity % sector == 0 && alignment % sector == 0;
    let discard = (discard == 1 && whole)
        .then(|| Discard { granularity: granularity / sector, alignment: alignment / sector });
    let segments = usize::try_from(segments).unwrap_or(usize::MAX).min(INDIRECT_MAX);
    let abilities = Abilities {
        persistent: persistent == 1,
        segments: segments.min(most / 2).max(SEGMENTS_MAX),
        flush: flush.then_some(OP_FLUSH_DISKCACHE).or(barrier.then_some(OP_WRITE_BARRIER)),
        discard: discard.is_some(),
    };
    Ok(Terms { size, read_only: info & VDISK_READONLY != 0, discard, abilities })
}

/// Returns the most pages to grant for data: an eighth of memory, from 64 to 1024. Linux's
/// back end keeps up to 1056 mapped for each disk.
fn pages() -> usize {
    match kernel::memory::stats().total / PAGE_SIZE / 8 {
        // The size of memory is not known.
        0 => 1024,
        pages => pages.clamp(64, 1024),
    }
}

/// Returns the size of the ring in pages, as a power of two: a slot per eight pages of data.
fn order(pages: usize, most: u64) -> u32 {
    let slots = pages as u32 / 8;
    (slots / Front::<{ xen::public::io::blkif::SLOT }>::SIZE).max(1).ilog2().min(most as u32)
}

impl Driver for State {
    const CLASS: &'static str = "vbd";

    fn name(&self) -> &str {
        &self.name
    }

    fn is_connected(&self) -> bool {
        self.connection.borrow().is_some()
    }

    fn is_broken(&self) -> bool {
        self.over.get().is_some()
    }

    fn trouble(&self) -> &Cell<Option<frontend::Error>> {
        &self.trouble
    }

    fn waiters(&self) -> &Waiters {
        &self.waiting
    }

    async fn connect(&self, front: &Frontend, watch: &Watch) -> Result<Outcome, frontend::Error> {
        if frontend::begin(front, watch, &[]).await? == Outcome::Gone {
            return Ok(Outcome::Gone);
        }
        let most = pages();
        let orders = read_number(&front.theirs("max-ring-page-order"), 0..=4, 0).await?;
        let order = order(most, orders);
        let peer = front.peer();
        let port = Port::alloc(peer).map_err(frontend::Error::Events)?;
        let ring = Front::new(ReadWriteGrant::new(peer, 1 << order)?);
        let mut settings = vec![
            ("event-channel".to_string(), port.number().to_string()),
            ("protocol".into(), "x86_64-abi".into()),
            ("feature-persistent".into(), "1".into()),
            ("ring-page-order".into(), order.to_string()),
            // For back ends that know rings of one page only.
            ("ring-ref".into(), ring.reference().to_string()),
        ];
        for (number, gref) in ring.references().iter().enumerate() {
            settings.push((format!("ring-ref{number}"), gref.to_string()));
        }
        front.announce_with(XenbusState::Initialised, &settings).await?;
        if frontend::wait_for(front, watch, XenbusState::Connected).await? == Outcome::Gone {
            return Ok(Outcome::Gone);
        }
        let Terms { size, read_only, discard, abilities } = terms(front, most).await?;
        let node = front.ours("");
        let node = node.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        // The device in each request, which the back end knows from xenstore.
        let handle = node.parse::<u32>().unwrap_or(0) as u16;
        let mut connection = Connection::new(ring, port, peer, handle, abilities, most)?;
        front.announce(XenbusState::Connected).await?;
        connection.draining = self.is_quiet();
        self.connection.replace(Some(connection));
        self.away.set(false);
        self.disconnected.set(None);
        self.count(|stats| stats.connections += 1);
        let before = self.info.get();
        self.info.update(|info| Info {
            sector_size: size.sector,
            sectors: size.sectors,
            read_only,
            flush: abilities.flush.is_some(),
            discard,
            generation: info.generation.wrapping_add(1),
            lost: 0,
        });
        let (name, pages) = (&self.name, 1 << order);
        log::debug!("{name}: connected: {size:?}, {abilities:?}, a ring of {pages} pages");
        // Not again with each connection (rule K3).
        if abilities.flush.is_none() && !read_only && (before.generation == 0 || before.flush) {
            log::warn!("{name}: the back end cannot flush: no write is known to be durable");
        }
        self.wake_answered();
        self.driver.wake();
        self.watchdog.wake();
        self.waiting.wake();
        Ok(Outcome::Reached)
    }

    async fn supervise(&self, front: &Frontend, watch: &Watch) -> End {
        let theirs = async || loop {
            match front.state().await? {
                XenbusState::Connected | XenbusState::Reconfigured => self.resize(front).await,
                state => return Ok(state),
            }
            front.changed().await?;
        };
        let told = frontend::follow(&self.name, async || {
            match select(theirs(), frontend::gone(front, watch)).await {
                Either::First(state) => state,
                Either::Second(gone) => gone.map(|()| XenbusState::Unknown),
            }
        });
        self.port_closed.set(false);
        self.late.set(false);
        let over = poll_fn(|context| {
            if self.is_broken() {
                return Poll::Ready(End::Broken);
            }
            if self.port_closed.get() || self.late.get() {
                return Poll::Ready(End::Stuck);
            }
            self.supervisor.wait(context.waker());
            Poll::Pending
        });
        let end = match select(told, over).await {
            Either::First(XenbusState::Unknown) => return End::Gone,
            Either::First(state) => state,
            Either::Second(end) => return end,
        };
        if end == XenbusState::Closing {
            let _ = timeout(SLOW, self.drain(&self.supervisor)).await;
        }
        End::Closed
    }

    async fn disconnect(&self, front: &Frontend, end: End) {
        let Some(mut connection) = self.connection.take() else { return };
        // Requests that have a response are not repeated. Without a connection, no other response is
        // taken for one of theirs.
        let last = match self.is_broken() {
            true => Ok(()),
            false => connection.reap(&mut self.queue.borrow_mut()),
        };
        let can_flush = connection.abilities().flush.is_some();
        self.queue.borrow_mut().park(&mut connection.pools, can_flush);
        self.disconnected.set(Some(Instant::now()));
        let late = self.late.take();
        if late {
            self.queue.borrow_mut().fail(ErrorKind::TimedOut);
        }
        self.count(|stats| Self::add(stats, connection.counters()));
        if let Err(violation) = last {
            self.broken(violation);
        }
        if end != End::Broken && !late {
            log::info!("{}: the back end disconnected", self.name);
        }
        // Whoever has an answer does not wait for xenstore.
        self.wake_answered();
        self.waiting.wake();
        self.watchdog.wake();
        let online = timeout(SOON, read_number(&front.theirs("online"), 0..=1, 1)).await;
        if online == Ok(Ok(0)) {
            // The toolstack removed it on purpose.
            self.fail(ErrorKind::Gone, false);
        }
        frontend::close(front, end).await;
    }
}

impl State {
    /// Updates the size of the disk.
    async fn resize(&self, front: &Frontend) {
        match Size::read(front).await {
            Ok(size) => {
                let info = self.info.get();
                if size.sector == info.sector_size && size.sectors != info.sectors {
                    log::info!("{}: resized to {} sectors", self.name, size.sectors);
                    self.info.set(Info { sectors: size.sectors, ..info });
                }
            }
            Err(error) => log::warn!("{}: {error}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers() {
        for (name, expected) in [
            ("xvda", Some(202 << 8)),
            ("xvda1", Some(202 << 8 | 1)),
            ("xvdb", Some(202 << 8 | 16)),
            ("xvdp15", Some(202 << 8 | 255)),
            ("xvdq", Some(1 << 28 | 16 << 8)),
            ("xvdaa", Some(1 << 28 | 26 << 8)),
            ("xvdzz7", Some(1 << 28 | 701 << 8 | 7)),
            ("51712", Some(51712)),
            ("xvd", None),
            ("xvda0", None),
            ("xvda256", None),
            ("sda", None),
            ("xvdA", None),
            ("xvd1", None),
            ("4294967296", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
            if let Some(number) = expected.filter(|_| name.starts_with('x')) {
                assert_eq!(super::name(&number.to_string()), name);
            }
        }
    }

    #[test]
    fn sizes_make_sense_b3() {
        assert_eq!(Size::new(8, 512), Some(Size { sector: 512, sectors: 8 }));
        assert_eq!(Size::new(17, 4096), Some(Size { sector: 4096, sectors: 2 }));
        for (units, sector) in [(8, 0), (8, 256), (8, 513), (8, 8192), (u64::MAX, 512)] {
            assert_eq!(Size::new(units, sector), None, "{units} of {sector}");
        }
    }
}
