//! Who has which address, and for how long.

use crate::message::Client;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;
use xenith::time::Instant;

/// Addresses that there may be: the table is of that size from the start on.
pub(crate) const MOST: u32 = 4096;

/// How long an address is kept for who was offered it.
pub(crate) const OFFER: Duration = Duration::from_secs(60);

/// How long an address rests that somebody else was found at.
pub(crate) const REST: Duration = Duration::from_secs(3600);

/// An address that somebody has or had.
#[derive(Clone, Debug)]
struct Lease {
    /// Nothing when it rests.
    client: Option<Client>,
    until: Instant,
    /// It was confirmed, not just offered.
    bound: bool,
}

/// The addresses to give.
#[derive(Debug)]
pub(crate) struct Pool {
    first: Ipv4Addr,
    places: Vec<Option<Lease>>,
}

impl Pool {
    /// The addresses from `first` to `last`, except `own`. `None` when these are none or
    /// too many, or there is no memory for them.
    pub(crate) fn new(first: Ipv4Addr, last: Ipv4Addr, own: Ipv4Addr) -> Option<Self> {
        let count = last.to_bits().checked_sub(first.to_bits())?.checked_add(1)?;
        let mut places = Vec::new();
        if count > MOST || places.try_reserve_exact(count as usize).is_err() {
            return None;
        }
        places.resize(count as usize, None);
        let mut pool = Self { first, places };
        if let Some(place) = pool.place(own) {
            let until = Instant::now().saturating_add(Duration::MAX);
            *place = Some(Lease { client: None, until, bound: true });
        }
        Some(pool)
    }

    fn place(&mut self, address: Ipv4Addr) -> Option<&mut Option<Lease>> {
        let at = address.to_bits().checked_sub(self.first.to_bits())?;
        self.places.get_mut(at as usize)
    }

    fn address(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits().wrapping_add(at as u32))
    }

    /// The address that `client` has, had last, or was offered.
    pub(crate) fn of(&self, client: &Client) -> Option<Ipv4Addr> {
        let is_its = |place: &Option<Lease>| {
            place.as_ref().is_some_and(|lease| lease.client.as_ref() == Some(client))
        };
        self.places.iter().position(is_its).map(|at| self.address(at))
    }

    /// Whether `address` is one to give that nobody has.
    fn is_free(&mut self, address: Ipv4Addr, now: Instant) -> bool {
        self.place(address)
            .is_some_and(|place| place.as_ref().is_none_or(|lease| lease.until <= now))
    }

    /// Keeps an address for `client`: its own, the one it wishes for, one that nobody ever
    /// had, or the one that has been free for longest.
    pub(crate) fn offer(
        &mut self,
        client: &Client,
        wish: Option<Ipv4Addr>,
        now: Instant,
    ) -> Option<Ipv4Addr> {
        if let Some(address) = self.of(client) {
            let lease = self.place(address)?.as_mut()?;
            lease.until = lease.until.max(now.saturating_add(OFFER));
            return Some(address);
        }
        let wish = wish.filter(|&wish| self.is_free(wish, now));
        let address = wish.or_else(|| {
            let free = self.places.iter().enumerate().filter_map(|(at, place)| match place {
                None => Some((None, at)),
                Some(lease) => (lease.until <= now).then_some((Some(lease.until), at)),
            });
            free.min().map(|(_, at)| self.address(at))
        })?;
        let until = now.saturating_add(OFFER);
        *self.place(address)? = Some(Lease { client: Some(client.clone()), until, bound: false });
        Some(address)
    }

    /// Gives `address` to `client` for a time, if it is its own, or nobody's and it has no
    /// other; whether it did. A server that was started anew knows nobody: who says to
    /// have an address keeps it so.
    pub(crate) fn bind(
        &mut self,
        client: &Client,
        address: Ipv4Addr,
        time: Duration,
        now: Instant,
    ) -> bool {
        let good = match self.of(client) {
            Some(own) => own == address,
            None => self.is_free(address, now),
        };
        let until = now.saturating_add(time);
        match self.place(address) {
            Some(place) if good => {
                *place = Some(Lease { client: Some(client.clone()), until, bound: true });
                true
            }
            _ => false,
        }
    }

    /// `client` wants nothing of what it was offered.
    pub(crate) fn forget(&mut self, client: &Client) {
        if let Some(place) = self.of(client).and_then(|address| self.place(address))
            && place.as_ref().is_some_and(|lease| !lease.bound)
        {
            *place = None;
        }
    }

    /// `client` gives `address` back; it is the last that somebody else gets.
    pub(crate) fn release(&mut self, client: &Client, address: Ipv4Addr, now: Instant) -> bool {
        let is_its = self.of(client) == Some(address);
        if let Some(Some(lease)) = self.place(address).filter(|_| is_its) {
            lease.until = now;
        }
        is_its
    }

    /// `client` found somebody else at `address`.
    pub(crate) fn decline(&mut self, client: &Client, address: Ipv4Addr, now: Instant) -> bool {
        let is_its = self.of(client) == Some(address);
        if let Some(place) = self.place(address).filter(|_| is_its) {
            *place = Some(Lease { client: None, until: now.saturating_add(REST), bound: true });
        }
        is_its
    }
}
