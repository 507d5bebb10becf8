//! The two sides of an update, between which xenstore carries words and Xen the pages.
//!
//! Dom0 writes `data/update/to` for the old domain and `data/update/from` for the new one, each the
//! other's number, and lets each read the other's folder. It removes the number of a domain that
//! has ended. What each of them says stands in its `data/update/state`:
//!
//! ```text
//! old                                        new
//!                                            ready FORMAT OLDEST NEWEST ROOM
//! given REFERENCE LENGTH OFFER     (or: refused WHY)
//!                                            taken      (or: refused WHY)
//! late 1 REFERENCE LENGTH          (or: withdrawn)
//!                                            done 1
//! late 2 REFERENCE LENGTH
//!                                            done 2
//! ```
//!
//! ROOM is how many bytes the new domain has memory for. REFERENCE is that of a page with the
//! references of the pages that hold the bytes, and OFFER that of an [`Offer`]: the new domain takes
//! it, or the old one takes it back, which Xen decides. So never both serve, nor neither, also
//! where xenstore answers late or not at all: what is said there then only makes it faster.

use super::stream::{self, FORMAT};
use super::words::{self, Word};
use super::{APP, Error, Phase, Section, UPDATES, take_section, wait, wake};
use crate::machine::{self, open_store, shut_down};
use crate::shutdown::grace;
use crate::suspend::Participant;
use crate::task::{Either, Either3, select, select3, spawn};
use crate::time::{sleep, timeout};
use ::xen::DomId;
use ::xen::gnttab::{self, GrantRef, Offer, ReadOnlyGrant, copy_from};
use ::xen::memory::PAGE_SIZE;
use ::xen::public::SHUTDOWN_poweroff;
use ::xen::xenbus::read_number;
use ::xen::xenstore::{self, Watch};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

const STATE: &str = "data/update/state";
const TO: &str = "data/update/to";
const FROM: &str = "data/update/from";

/// The most time that what is under way has to end while all is served, of the app's
/// [`grace`](crate::shutdown::grace). The toolstack waits for 30 s.
const SOON: Duration = Duration::from_secs(15);

/// Time that parts have to come to rest. Who waits for an answer waits as long, so it is short.
const REST: Duration = Duration::from_secs(3);

/// Time that parts have to write what they hand over.
const SAVE: Duration = Duration::from_millis(500);

/// Time that the successor has to take over.
const TAKE: Duration = Duration::from_secs(3);

/// Time before each look at what arrived late: frames that were on their way to this domain when
/// the bridge heard of the other one.
const LATE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(25)];

/// Time that the successor has to take that.
const DONE: Duration = Duration::from_millis(500);

/// Time for a word. Where xenstore takes longer, all goes on as if it had been said.
const SAY: Duration = Duration::from_millis(500);

/// Time between two looks at whether an offer is taken, of which xenstore tells as well.
const LOOK: Duration = Duration::from_millis(20);

/// How often a successor that is just taking an offer is waited for, 1 ms each time. A copy takes
/// some microseconds.
const AT_IT: u32 = 100;

/// The most pages: as many as references fit into one.
const PAGES: usize = PAGE_SIZE / 4;

fn theirs(peer: DomId) -> String {
    format!("/local/domain/{peer}/{STATE}")
}

/// Reads what a domain says; nothing if it says nothing.
async fn heard(path: &str) -> Option<String> {
    String::from_utf8(xenstore::read(path).await.ok()?).ok()
}

async fn say(what: &str) {
    // Who cannot be heard is given up by the other side.
    let _ = timeout(SAY, xenstore::write(STATE, what.as_bytes())).await;
}

/// Reads the number of a domain.
async fn domain(path: &str) -> Result<Option<DomId>, xenstore::Error> {
    let number = read_number(path, 1..=u64::from(DomId::SELF.0) - 1, 0).await?;
    Ok(DomId::of_domain(number).filter(|it| it.0 != 0))
}

/// Whether the toolstack names that domain, and can be asked.
async fn is(path: &str, peer: DomId) -> bool {
    domain(path).await.is_ok_and(|it| it == Some(peer))
}

// The old domain.

/// Pages that the successor reads.
struct Shown {
    index: ReadOnlyGrant,
    _pages: ReadOnlyGrant,
    length: usize,
}

impl Shown {
    fn new(peer: DomId, sections: &[Section]) -> Option<Self> {
        let bytes = stream::pack(sections)?;
        let count = bytes.len().div_ceil(PAGE_SIZE);
        if count > PAGES {
            return None;
        }
        let mut pages = ReadOnlyGrant::new(peer, count).ok()?;
        pages.bytes_mut().get_mut(..bytes.len())?.copy_from_slice(&bytes);
        let mut index = ReadOnlyGrant::new(peer, 1).ok()?;
        let words = index.bytes_mut().chunks_exact_mut(4).zip(pages.references());
        words.for_each(|(word, reference)| word.copy_from_slice(&reference.0.to_le_bytes()));
        Some(Self { index, _pages: pages, length: bytes.len() })
    }

    fn words(&self) -> String {
        let reference = self.index.references().first().map_or(0, |it| it.0);
        format!("{reference} {}", self.length)
    }
}

/// Begins a phase, and waits until all parts are done with it. Returns what they hand over, unless
/// one failed or takes longer than `limit`.
async fn step(phase: Phase, limit: Duration) -> Option<Vec<Section>> {
    UPDATES.get().lock().begin(phase);
    wake();
    timeout(limit, wait(|it| it.is_over().then_some(()))).await.ok()?;
    let mut updates = UPDATES.get().lock();
    if updates.failed { None } else { Some(core::mem::take(&mut updates.given)) }
}

/// Follows the toolstack's word that there is a successor.
async fn follow() -> Result<(), xenstore::Error> {
    let told = xenstore::watch(TO).await?;
    loop {
        told.changed().await?;
        let mut last = None;
        // Another one may be named while an offer ends, which takes the news of it.
        while let Some(peer) = domain(TO).await.ok().flatten().filter(|it| last != Some(*it)) {
            last = Some(peer);
            log::info!("update: domain {peer} is to take over");
            let (why, word) = match offer(peer, &told).await {
                Err(why) => (why, format!("refused {why}")),
                Ok(why) => (why, String::from("withdrawn")),
            };
            log::warn!("update: goes on serving: {why}");
            step(Phase::Resume, REST).await;
            // Another one would take a refusal, or what was given to this one, for itself.
            let is_last = domain(TO).await.ok().flatten().is_none_or(|it| it == peer);
            say(if is_last { &word } else { "withdrawn" }).await;
        }
    }
}

/// Offers the service to a successor, and ends this domain when that has taken over. Returns why
/// the offer was taken back.
///
/// # Errors
/// Why there was none.
async fn offer(peer: DomId, told: &Watch) -> Result<&'static str, &'static str> {
    let gone = "xenstore does not tell of the successor";
    let away = "the successor was taken away";
    let path = theirs(peer);
    let watch = xenstore::watch(&path).await.map_err(|_| gone)?;
    let [format, oldest, newest, room] = loop {
        match select(watch.changed(), told.changed()).await {
            Either::First(news) => news.map_err(|_| gone)?,
            Either::Second(_) if is(TO, peer).await => {}
            Either::Second(_) => return Err(away),
        }
        match words::read(&heard(&path).await.unwrap_or_default(), "ready") {
            Word::Is(ready) => break ready,
            // It would wait for what it understands, and its clients with it.
            Word::Strange => return Err("the successor speaks of updates in another way"),
            Word::Refused => return Err("the successor refuses to take over"),
            Word::Other => {}
        }
    };
    let (version, _) = UPDATES.get().lock().versions;
    if format != FORMAT || !(oldest..=newest).contains(&version) {
        return Err("the successor takes no state of this version");
    }
    // What does not end in time is cut off then: no client keeps an update from going on.
    step(Phase::Soon, grace().min(SOON)).await;
    if !is(TO, peer).await {
        return Err(away);
    }
    // A domain that is saved or moved meanwhile would go on elsewhere, where it has offered nothing and
    // serves, as the successor does here. From here on that waits, for some 7 s at most.
    let _held = Participant::in_time().ok_or("the domain is being suspended")?;
    step(Phase::Rest, REST).await.ok_or("what is under way did not end in time")?;
    let room = (room as usize).min(PAGES * PAGE_SIZE);
    UPDATES.get().lock().room = room;
    let sections = step(Phase::Save, SAVE).await.ok_or("the state cannot be written")?;
    let memory = "there is no memory for the state";
    let shown = Shown::new(peer, &sections).ok_or(memory)?;
    drop(sections);
    if shown.length > room {
        return Err("the state is larger than what the successor takes");
    }
    let mut offer = Offer::new(peer).map_err(|_| memory)?;
    let reference = offer.reference().map_or(0, |it| it.0);
    // From here on the successor may serve, and this domain does not before the offer is taken back.
    say(&format!("given {} {reference}", shown.words())).await;
    let why = wait_for(&path, &watch, peer, told, &offer).await;
    if !is_taken(&mut offer).await {
        return Ok(why);
    }
    drop((shown, offer));
    for (round, wait) in LATE.into_iter().enumerate() {
        sleep(wait).await;
        let late = step(Phase::Late, SAVE).await.unwrap_or_default();
        let Some(shown) = Shown::new(peer, &late) else { break };
        let round = round + 1;
        say(&format!("late {round} {}", shown.words())).await;
        let _ = timeout(DONE, until(&path, &watch, &format!("done {round}"))).await;
    }
    machine::line(format_args!("update: domain {peer} has taken over"));
    shut_down(SHUTDOWN_poweroff)
}

/// Waits until a domain says something.
async fn until(path: &str, watch: &Watch, what: &str) {
    while heard(path).await.as_deref() != Some(what) && watch.changed().await.is_ok() {}
}

/// Waits until the successor has taken the offer, refuses it, is gone, or its time is over.
/// Returns why it has not taken it, if it has not.
async fn wait_for(
    path: &str,
    watch: &Watch,
    peer: DomId,
    told: &Watch,
    offer: &Offer,
) -> &'static str {
    let refuses = async {
        while !heard(path).await.is_some_and(|it| it.starts_with("refused")) {
            if watch.changed().await.is_err() {
                // The offer itself tells.
                core::future::pending::<()>().await;
            }
        }
    };
    let goes = async {
        while told.changed().await.is_ok() {
            if !is(TO, peer).await {
                return;
            }
        }
        core::future::pending::<()>().await;
    };
    let taken = async {
        while !offer.is_taken() {
            sleep(LOOK).await;
        }
    };
    match timeout(TAKE, select3(taken, refuses, goes)).await {
        Ok(Either3::Second(())) => "the successor refuses the state",
        Ok(Either3::Third(())) => "the successor was taken away",
        Ok(Either3::First(())) | Err(_) => "the successor did not take over in time",
    }
}

/// Takes the offer back, unless the successor has taken it. Returns whether it has.
async fn is_taken(offer: &mut Offer) -> bool {
    for _ in 0..AT_IT {
        if let Some(withdrawn) = offer.withdraw() {
            return !withdrawn;
        }
        sleep(Duration::from_millis(1)).await;
    }
    // It maps the page, as no image of ours does.
    offer.is_taken()
}

// The new domain.

/// Returns what the former image's part `name` handed over with `version`; `None` if there is no
/// former image, or it had no such part. The first call waits for the former image to come to
/// rest, so what takes time has to be done before.
///
/// # Errors
/// See [`Error`].
pub async fn section(name: &str, version: u32) -> Result<Option<Vec<u8>>, Error> {
    static MET: spin::Once<()> = spin::Once::new();
    if !MET.is_completed() {
        MET.call_once(|| ());
        open_store();
        // Who does not know whether there is a former image must not serve beside it.
        match domain(FROM).await.map_err(|_| Error::Withdrawn)? {
            Some(peer) => match meet(peer).await {
                Err(Error::Refused(why)) => {
                    say(&format!("refused {why}")).await;
                    return Err(Error::Refused(why));
                }
                result => result?,
            },
            None => begin(),
        }
    }
    match take_section(name) {
        Some(section) if section.version != version => {
            say("refused its parts have another version").await;
            Err(Error::Refused("its parts have another version"))
        }
        section => Ok(section.map(|it| it.bytes)),
    }
}

/// Begins to follow the toolstack.
fn begin() {
    spawn(async {
        if let Err(error) = follow().await {
            log::warn!("updates cannot be followed: {error}");
        }
    })
    .detach();
}

/// Says that this image is ready, and takes what the former one hands over.
async fn meet(peer: DomId) -> Result<(), Error> {
    let path = theirs(peer);
    let watch = xenstore::watch(&path).await.map_err(|_| Error::Withdrawn)?;
    let named = xenstore::watch(FROM).await.map_err(|_| Error::Withdrawn)?;
    let (newest, oldest) = UPDATES.get().lock().versions;
    // Less than it will have, as that may change meanwhile.
    let room = (room() / 8 * 7).min(PAGES * PAGE_SIZE);
    say(&format!("ready {FORMAT} {oldest} {newest} {room}")).await;
    let [reference, length, offer] = loop {
        match select(watch.changed(), named.changed()).await {
            Either::First(news) => news.map_err(|_| Error::Withdrawn)?,
            Either::Second(_) if is(FROM, peer).await => {}
            // What has ended gives nothing any more.
            Either::Second(_) => return Err(Error::Refused("the former image was taken away")),
        }
        match words::read(&heard(&path).await.unwrap_or_default(), "given") {
            Word::Is(given) => break given,
            Word::Strange => return Err(Error::Refused("it is given in another way")),
            Word::Refused => return Err(Error::Withdrawn),
            Word::Other => {}
        }
    };
    let sections = fetch(peer, reference, length)?;
    let app = sections.iter().find(|it| it.name == APP);
    let judge = UPDATES.get().lock().judge;
    if app.is_some_and(|it| !judge(it.version, &it.bytes)) {
        return Err(Error::Refused("the app does not understand its own"));
    }
    let mut updates = UPDATES.get().lock();
    updates.taken = sections;
    updates.offer = Some((peer, GrantRef(offer)));
    Ok(())
}

/// Returns how many bytes a former image may hand over. What is read of them needs as much again.
fn room() -> usize {
    let (_, left) = machine::memory_left();
    left / 4
}

/// Copies what a domain shows, and judges the copy.
fn fetch(peer: DomId, reference: u32, length: u32) -> Result<Vec<Section>, Error> {
    let length = length as usize;
    let count = length.div_ceil(PAGE_SIZE);
    if count > PAGES || length > room() {
        return Err(Error::Refused("it is too long"));
    }
    let memory = Error::Refused("there is no memory for it");
    let not_shown = Error::Refused("its pages are not shown");
    let mut index = crate::memory::zeroed(count * 4).ok_or(memory)?;
    copy_from(peer, &[GrantRef(reference)], &mut index).map_err(|_| not_shown)?;
    let words = index.as_chunks().0.iter().map(|word| GrantRef(u32::from_le_bytes(*word)));
    let references: Vec<_> = words.collect();
    let mut bytes = crate::memory::zeroed(length).ok_or(memory)?;
    copy_from(peer, &references, &mut bytes).map_err(|_| not_shown)?;
    stream::unpack(&bytes).ok_or(Error::Refused("it is damaged"))
}

/// Takes over: from here on the former image serves no more, and this one has to. Without a former
/// image it does nothing.
///
/// # Errors
/// [`Error::Withdrawn`]: this image must end, without a word to anyone.
pub async fn take() -> Result<(), Error> {
    let offer = UPDATES.get().lock().offer.take();
    let Some((peer, offer)) = offer else { return Ok(()) };
    gnttab::take(peer, offer).map_err(|_| Error::Withdrawn)?;
    let path = theirs(peer);
    UPDATES.get().lock().expects_late = true;
    spawn(async move {
        say("taken").await;
        let last = LATE.len() as u32;
        for round in 1..=last {
            let Ok(Some(sections)) = timeout(TAKE, come_late(peer, &path, round)).await else {
                break;
            };
            UPDATES.get().lock().late = sections;
            wake();
            // What no part waits for does not keep the former image.
            let _ = timeout(DONE, wait(|it| it.late.is_empty().then_some(()))).await;
            say(&format!("done {round}")).await;
        }
        let mut updates = UPDATES.get().lock();
        updates.expects_late = false;
        drop(updates);
        wake();
        let _ = xenstore::remove(FROM).await;
        begin();
    })
    .detach();
    Ok(())
}

/// Waits for what arrived late at the former image.
async fn come_late(peer: DomId, path: &str, round: u32) -> Option<Vec<Section>> {
    let watch = xenstore::watch(path).await.ok()?;
    loop {
        watch.changed().await.ok()?;
        if let Word::Is([number, reference, length]) = words::read(&heard(path).await?, "late")
            && number == round
        {
            return fetch(peer, reference, length).ok();
        }
    }
}
