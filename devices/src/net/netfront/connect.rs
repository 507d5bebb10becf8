//! Negotiates, supervises and ends the connection of a network interface.

use super::State;
use super::rx::{self, Rx};
use super::tx::{self, Tx};
use crate::frontend::waiters::Waiters;
use crate::frontend::{self, Driver, End, Error, Outcome};
use crate::net::{HEADER, Info, Mac, Offloads};
use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;
use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;
use kernel::task::{Either, select};
use kernel::time::interval;
use xen::evtchn::Port;
use xen::gnttab::ReadWriteGrant;
use xen::memory::PAGE_SIZE;
use xen::ring::Front;
use xen::xenbus::{Frontend, XenbusState, read_number};
use xen::xenstore::{self, Watch};

/// The longest time that the back end may take to complete a transmission (rule N11). It doubles with
/// each reset that brought no response, as where dom0 has taken its side down: that works on as
/// soon as it is up, and without another connection.
const STUCK: Duration = Duration::from_secs(5);

/// How often it doubles, to 640 s.
const DOUBLED: u32 = 7;

/// The time between two checks of the rings without an event (rule E7).
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// What front ends write and this one does not, or not always.
const STALE: [&str; 7] = [
    "event-channel-tx",
    "event-channel-rx",
    "multi-queue-num-queues",
    "feature-no-csum-offload",
    "feature-ipv6-csum-offload",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
];

/// The longest frame that the ring's 16-bit sizes allow.
const LONGEST: usize = 65535;

/// Keeps interface `id` connected until it is dropped or broken.
pub(super) async fn run(state: Rc<State>, id: String) {
    frontend::run(&*state, &id).await;
}

/// The features of the back end and the settings of the toolstack.
struct Terms {
    mac: Mac,
    mtu: usize,
    transmit_blank: bool,
    transmit_large: bool,
    receive_large: bool,
}

async fn terms(front: &Frontend, offloads: Offloads) -> Result<Terms, Error> {
    // An IPv4 host has to take 576 bytes (RFC 791); Linux has no smaller MTU than 68.
    let mtu = read_number(&front.ours("mtu"), 68..=(LONGEST - HEADER) as u64, 1500);
    let mac = xenstore::read(&front.ours("mac"));
    let feature = |name| (name, 1, 0);
    let numbers = [
        feature("feature-rx-copy"),
        feature("feature-no-csum-offload"),
        feature("feature-ipv6-csum-offload"),
        feature("feature-sg"),
        feature("feature-gso-tcpv4"),
        feature("feature-gso-tcpv6"),
    ];
    let [copies, no_blank, blank6, pieces, gso4, gso6] = front.numbers(numbers).await?;
    let (mtu, mac) = (mtu.await?, mac.await?);
    if copies == 0 {
        return Err(Error::Unfit("lacks feature-rx-copy"));
    }
    // Without scatter-gather a frame is one slot, which is one page.
    let pieces = pieces == 1;
    let longest = if pieces { LONGEST } else { PAGE_SIZE };
    let transmit_blank = offloads.checksum && no_blank == 0 && blank6 == 1;
    let large = gso4 == 1 && gso6 == 1;
    Ok(Terms {
        mac: parse_mac(&mac).ok_or(Error::Unfit("published no valid MAC address (node mac)"))?,
        mtu: (mtu as usize).min(longest - HEADER),
        transmit_blank,
        transmit_large: offloads.transmit_large && transmit_blank && pieces && large,
        receive_large: offloads.receive_large && offloads.checksum && pieces,
    })
}

/// Parses a station's address: six pairs of hexadecimal digits between colons (rule N13).
fn parse_mac(text: &[u8]) -> Option<Mac> {
    let mut mac = [0; 6];
    let mut octets = text.split(|&byte| byte == b':');
    for byte in &mut mac {
        let &[high, low] = octets.next()? else { return None };
        let digit = |byte| char::from(byte).to_digit(16);
        *byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    }
    // Neither a group address nor the null address is a station's.
    let fits = octets.next().is_none() && mac[0] & 1 == 0 && mac != [0; 6];
    fits.then_some(Mac(mac))
}

/// Returns the most pages to grant for each direction: a sixteenth of memory, from 32 to 256.
fn pages() -> usize {
    (kernel::memory::stats().total / PAGE_SIZE / 16).clamp(32, 256)
}

impl Driver for State {
    const CLASS: &'static str = "vif";

    fn name(&self) -> &str {
        &self.vif
    }

    fn is_connected(&self) -> bool {
        self.info.get().link
    }

    fn is_broken(&self) -> bool {
        self.broken.get()
    }

    fn trouble(&self) -> &Cell<Option<Error>> {
        &self.trouble
    }

    fn waiters(&self) -> &Waiters {
        &self.waiting
    }

    async fn connect(&self, front: &Frontend, watch: &Watch) -> Result<Outcome, Error> {
        connect(self, front, watch).await
    }

    async fn supervise(&self, front: &Frontend, watch: &Watch) -> End {
        supervise(self, front, watch).await
    }

    async fn disconnect(&self, front: &Frontend, end: End) {
        disconnect(self, front, end).await;
    }
}

/// Returns the pages of a large frame to transmit: as many as it may have, or a few if memory
/// is small, as socket buffers are small then too.
fn large_pages() -> usize {
    if kernel::memory::stats().total < 32 << 20 { 4 } else { LONGEST.div_ceil(PAGE_SIZE) }
}

/// Negotiates with the back end and publishes the rings.
async fn connect(state: &State, front: &Frontend, watch: &Watch) -> Result<Outcome, Error> {
    if frontend::begin(front, watch, &STALE).await? == Outcome::Gone {
        return Ok(Outcome::Gone);
    }
    let terms = terms(front, state.offloads).await?;
    let peer = front.peer();
    let longest = terms.mtu + HEADER;
    // One for both directions: transmitting asks for events where it lacks room alone.
    let port = Rc::new(Port::alloc(peer).map_err(Error::Events)?);
    let count = pages();
    let ring = Front::new(ReadWriteGrant::new(peer, 1)?);
    let large = if terms.transmit_large { large_pages() } else { 0 };
    let tx = Tx::new(
        ring,
        port.clone(),
        peer,
        tx::Sizes { pages: count, longest_frame: longest, large_pages: large },
    )?;
    let ring = Front::new(ReadWriteGrant::new(peer, 1)?);
    // A VLAN tag comes on top of the header.
    let mut rx = Rx::new(
        ring,
        port.clone(),
        peer,
        rx::Sizes { pages: count, longest_frame: longest + 4, large: terms.receive_large },
    )?;
    // The back end reads the ring when it connects, without a notification.
    let _ = rx.publish();
    // Others are left out: what the header says of their absence is what is meant, and
    // xenstored wakes this domain for each.
    let checksum = state.offloads.checksum;
    let settings = [
        ("tx-ring-ref", tx.reference().0),
        ("rx-ring-ref", rx.reference().0),
        ("event-channel", port.number().0),
        ("request-rx-copy", 1),
        ("feature-rx-notify", 1),
        ("feature-sg", 1),
        (if checksum { "feature-ipv6-csum-offload" } else { "feature-no-csum-offload" }, 1),
        ("feature-gso-tcpv4", terms.receive_large.into()),
        ("feature-gso-tcpv6", terms.receive_large.into()),
    ];
    let count_of = if terms.receive_large { settings.len() } else { settings.len() - 2 };
    let settings = settings.get(..count_of).unwrap_or_default();
    front.announce_with(XenbusState::Connected, settings).await?;
    if frontend::wait_for(front, watch, XenbusState::Connected).await? == Outcome::Gone {
        return Ok(Outcome::Gone);
    }
    state.rx.replace(Some(rx.into()));
    state.tx.replace(Some(tx));
    state.count(|stats| stats.connections += 1);
    state.info.update(|info| Info {
        mac: terms.mac,
        mtu: terms.mtu,
        link: true,
        generation: info.generation.wrapping_add(1),
        transmit_blank: terms.transmit_blank,
        transmit_large: (large * PAGE_SIZE).min(LONGEST),
    });
    let Terms { mac, mtu, .. } = terms;
    log::debug!("{}: connected: {mac}, MTU {mtu}, {count} pages each way", state.vif);
    state.waiting.wake();
    Ok(Outcome::Reached)
}

/// Supervises the connection until it ends.
async fn supervise(state: &State, front: &Frontend, watch: &Watch) -> End {
    let ends = |state| !matches!(state, XenbusState::Connected | XenbusState::Reconfigured);
    let told = frontend::follow(&state.vif, async || {
        match select(front.wait_until(&ends), frontend::gone(front, watch)).await {
            Either::First(state) => state,
            Either::Second(gone) => gone.map(|()| XenbusState::Unknown),
        }
    });
    match select(told, rounds(state)).await {
        Either::First(XenbusState::Unknown) => End::Gone,
        Either::First(_) => End::Closed,
        Either::Second(end) => end,
    }
}

/// Checks the rings once a second, and returns when the connection has to end.
async fn rounds(state: &State) -> End {
    let mut checks = interval(CHECK_INTERVAL);
    // Responses that were pending at the last check.
    let mut waited = 0;
    loop {
        let broken = poll_fn(|context| {
            if state.broken.get() {
                return Poll::Ready(());
            }
            state.supervisor.wait(context.waker());
            Poll::Pending
        });
        if let Either::First(()) = select(broken, checks.tick()).await {
            return End::Broken;
        }
        match check(state, &mut waited) {
            Ok(None) => {}
            Ok(Some(end)) => return end,
            Err(violation) => {
                state.fail(violation);
                return End::Broken;
            }
        }
    }
}

/// Checks the rings once.
fn check(state: &State, waited: &mut u32) -> Result<Option<End>, super::Violation> {
    let (mut rx, mut tx) = (state.rx.borrow_mut(), state.tx.borrow_mut());
    let (Some(rx), Some(tx)) = (rx.as_mut(), tx.as_mut()) else { return Ok(Some(End::Gone)) };
    // What was answered is taken here. Who waits for room may not have been told of it.
    let answered = tx.pending()? > 0;
    let since = tx.waiting_since()?;
    if tx.answered {
        state.in_vain.set(0);
    }
    let patience = STUCK * (1 << state.in_vain.get().saturating_sub(1).min(DOUBLED));
    if since.is_some_and(|since| since.elapsed() > patience) {
        state.in_vain.set(state.in_vain.get() + 1);
        return Ok(Some(End::Stuck));
    }
    // Rule N12; without memory it is tried again in the next check.
    if rx.is_short() && rx.refill().is_ok() && rx.publish() {
        rx.notify();
    }
    if answered {
        tx.wake();
    }
    let waiting = rx.pending()?;
    if waiting > 0 && *waited > 0 {
        state.count(|stats| stats.lost_events += 1);
        rx.wake();
    }
    *waited = waiting;
    Ok(None)
}

/// Tears the connection down. The back end is given time to unmap our pages; those that it
/// still maps then are quarantined.
async fn disconnect(state: &State, front: &Frontend, end: End) {
    state.info.update(|info| Info { link: false, ..info });
    let (rx, tx) = (state.rx.take(), state.tx.take());
    state.count(|stats| {
        State::add(stats, rx.as_deref(), tx.as_ref());
        stats.resets += u32::from(end == End::Stuck);
    });
    match end {
        End::Closed | End::Gone => {
            log::info!("{}: the back end disconnected", state.vif);
            // The next one may respond.
            state.in_vain.set(0);
        }
        End::Stuck => {
            log::warn!("{}: the back end does not respond: reconnecting", state.vif);
        }
        End::Broken => {
            rx.iter().for_each(|rx| rx.mask());
            tx.iter().for_each(Tx::mask);
        }
    }
    // Tasks that wait on these rings now wait for a new connection.
    if let Some(rx) = &rx {
        rx.wake();
    }
    if let Some(tx) = &tx {
        tx.wake();
    }
    state.waiting.wake();
    frontend::close(front, end).await;
    drop((rx, tx));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stations_address_is_one_n13() {
        let mac = |text: &str| parse_mac(text.as_bytes());
        assert_eq!(mac("00:16:3e:0A:ff:02"), Some(Mac([0, 0x16, 0x3e, 0x0a, 0xff, 2])));
        for bad in [
            "",
            "00:16:3e:00:00",
            "00:16:3e:00:00:02:03",
            "0:16:3e:00:00:02",
            "00-16-3e-00-00-02",
            "01:16:3e:00:00:02",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "+1:16:3e:00:00:02",
            "00:16:3e:00:00:02\0",
        ] {
            assert_eq!(mac(bad), None, "{bad}");
        }
    }
}
