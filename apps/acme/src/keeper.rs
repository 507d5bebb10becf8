//! When the CA is asked: before a certificate ends, and not too often.

use crate::challenges::Challenges;
use crate::config::Config;
use crate::error::Error;
use crate::order::obtain;
use crate::session::LONGEST;
use crate::store::{Certificate, Store};
use alloc::rc::Rc;
use core::time::Duration;
use fetchs::trust;
use xenith::block::Block;
use xenith::ip::{Resolve, Tcp};
use xenith::time::{Instant, sleep};
use xenith::tls::{Client, When};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// The longest sleep, after which the clock is read again: it may have been set, and the machine
/// may have been moved.
const NAP: Duration = HOUR;

/// Failures in a row that a restart forgives, so that whoever has mended something need not wait.
const FORGIVEN: u32 = 2;

/// The part of its validity for which each certificate is used at least, whatever `renew=` and the
/// clock say: an eighth.
const LEAST: u64 = 8;

/// Whom to trust as the CA, by its disk and arguments.
pub(crate) struct Trusted<R> {
    pub(crate) roots: R,
    pub(crate) fingerprints: xenith::args::Several,
    pub(crate) tls12: bool,
}

/// Keeps a certificate, and gets the next one.
pub(crate) struct Keeper<'a, T, R, B> {
    pub(crate) net: &'a T,
    pub(crate) config: Config,
    pub(crate) trusted: Trusted<R>,
    pub(crate) store: Store<B>,
    pub(crate) challenges: Rc<Challenges>,
    pub(crate) held: Option<Certificate>,
    /// Before that the CA is not asked for a certificate again, whatever the clock says: one that is
    /// wrong shall not make it sign without end.
    pub(crate) not_before: Instant,
}

impl<T: Tcp + Resolve, R: Block, B: Block + 'static> Keeper<'_, T, R, B> {
    /// Waits until the certificate has to be renewed, if there is one, and gets another one, for
    /// as long as that takes.
    pub(crate) async fn next(&mut self) -> &Certificate {
        self.until_due().await;
        let mut failures = self.store.failures().await.unwrap_or_default();
        let asked = self.config.asked();
        // What is asked for now may be what was wrong then.
        if failures.of != asked {
            failures.count = 0;
        }
        if failures.limited || failures.count > FORGIVEN {
            let wait = failures.until.saturating_sub(self.config.now());
            // Whatever the clock was when that was written.
            let wait = Duration::from_secs(wait).min(LONGEST);
            if !wait.is_zero() {
                log::warn!("acme: the CA is left alone for {} s more", wait.as_secs());
                sleep(wait).await;
            }
        }
        loop {
            match self.get().await {
                Ok(new) => {
                    let facts = &new.facts;
                    log::info!("acme: a certificate that is valid until {}", When(facts.until));
                    let least = Duration::from_secs(facts.validity() / LEAST);
                    self.not_before = Instant::now().saturating_add(least);
                    return self.held.insert(new);
                }
                Err(error) => {
                    failures.count = failures.count.saturating_add(1);
                    failures.limited = error.is_limit();
                    failures.of.clone_from(&asked);
                    let wait = jittered(pause(&error, failures.count));
                    failures.until = self.config.now().saturating_add(wait.as_secs());
                    self.tell(&error, wait);
                    // A disk that fails is told of by what is asked of it next.
                    let _ = self.store.failed(&failures).await;
                    sleep(wait).await;
                }
            }
        }
    }

    async fn get(&self) -> Result<Certificate, Error> {
        let Trusted { roots, fingerprints, tls12 } = &self.trusted;
        let trust = trust::config(roots, fingerprints, *tls12).await.map_err(Error::Roots)?;
        let net = Client::new(self.net, trust);
        obtain(&net, &self.config, &self.store, &self.challenges).await
    }

    /// Says that there is no certificate, or no newer one.
    fn tell(&self, error: &Error, wait: Duration) {
        let (now, wait) = (self.config.now(), wait.as_secs());
        match &self.held {
            None => log::error!("acme: no certificate: {error}; trying again in {wait} s"),
            Some(held) if held.facts.until <= now => {
                let until = When(held.facts.until);
                log::error!(
                    "acme: the certificate has expired, {until}, and there is no newer one: \
                     {error}; trying again in {wait} s"
                );
            }
            Some(held) => {
                let until = When(held.facts.until);
                log::warn!(
                    "acme: no newer certificate than that until {until}: {error}; trying again \
                     in {wait} s"
                );
            }
        }
    }

    async fn until_due(&self) {
        loop {
            let by_clock = self.held.as_ref().map_or(Duration::ZERO, |held| {
                let due = due(held, &self.config);
                Duration::from_secs(due.saturating_sub(self.config.now()))
            });
            let wait = by_clock.max(self.not_before.saturating_duration_since(Instant::now()));
            if wait.is_zero() {
                return;
            }
            sleep(wait.min(NAP)).await;
        }
    }
}

/// When a certificate is to be renewed, in seconds since 1970: at once if it is another CA's or
/// not for all names.
fn due(held: &Certificate, config: &Config) -> u64 {
    let facts = &held.facts;
    if held.from != config.directory || facts.missing(&config.domains).is_some() {
        return 0;
    }
    let validity = facts.validity();
    let most = validity - validity / LEAST;
    let before = config.renew.map_or(validity / 3, |it| it.as_secs().min(most));
    facts.until.saturating_sub(before)
}

/// For how long the CA is left alone after so many failures in a row: at least for an hour if it
/// was asked and said no, and for as long as it wants.
fn pause(error: &Error, count: u32) -> Duration {
    let (first, most) = if error.is_answer() { (HOUR, 24 * HOUR) } else { (MINUTE, HOUR) };
    let doubled = first.saturating_mul(1 << count.saturating_sub(1).min(16));
    doubled.min(most).max(error.later().unwrap_or_default())
}

/// Up to an eighth longer, so that not all machines ask at once that were refused at once.
fn jittered(pause: Duration) -> Duration {
    let part = xenith::entropy::next_u64().unwrap_or_default() % 1024;
    pause + pause * (part as u32) / 8192
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ca_is_asked_ever_more_seldom() {
        let refused = |later| Error::Refused {
            url: "https://ca/".into(),
            status: 429,
            problem: crate::error::Problem::default(),
            later,
        };
        let hours = |error: &Error, count| pause(error, count).as_secs_f64() / 3600.0;
        for (count, expected) in [(1, 1.0), (2, 2.0), (5, 16.0), (6, 24.0), (u32::MAX, 24.0)] {
            assert_eq!(hours(&refused(None), count), expected);
        }
        assert_eq!(hours(&refused(Some(100 * HOUR)), 1), 100.0);
        assert_eq!(hours(&refused(Some(MINUTE)), 1), 1.0, "no sooner than that");
        // One that is not there costs nobody anything.
        assert_eq!(pause(&Error::Entropy, 1), MINUTE);
        assert_eq!(pause(&Error::Entropy, 9), HOUR);
        for _ in 0..100 {
            assert!((HOUR..HOUR * 9 / 8).contains(&jittered(HOUR)));
        }
    }
}
