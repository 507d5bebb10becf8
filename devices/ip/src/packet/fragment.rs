//! Fragments of what is too long for the interface (RFC 791, section 3.2; RFC 8200, section 4.5).
//!
//! That is datagrams and answers to long echo requests, and never TCP. Those of IPv4 are as long
//! as the interface takes, and routers may cut them further. Those of IPv6 are as long as every
//! link carries (RFC 8200, section 5), as no router cuts them and none says in time that it
//! cannot pass them on.

use super::{FRAGMENT, HEADER, fill, plain, put};
use crate::{Error, keyed, random};
use core::cell::Cell;

/// The longest packet that every link of IPv6 carries.
const LEAST_V6: usize = 1280;

/// Numbers of datagrams: all before one comes again, in an order that nobody can guess (RFC
/// 6864, section 4.3; RFC 7739, section 5).
pub(crate) struct Numbers {
    keys: [u64; 2],
    next: Cell<u32>,
}

impl Numbers {
    /// Chooses an order.
    ///
    /// # Errors
    /// [`Error::NoEntropy`].
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { keys: [random()?, random()?], next: Cell::new(random()? as u32) })
    }

    /// The next one: of 16 bits for IPv4, else of 32.
    fn take(&self, ipv4: bool) -> u32 {
        let half = if ipv4 { 8 } else { 16 };
        let mask = (1 << half) - 1;
        let next = self.next.get();
        self.next.set(next.wrapping_add(1));
        // A Feistel network permutes all numbers, whatever its rounds compute.
        let (mut left, mut right) = (next >> half & mask, next & mask);
        for round in 0..4 {
            let hash = keyed(self.keys, &(right << 8 | half << 3 | round).to_be_bytes());
            (left, right) = (right, left ^ hash as u32 & mask);
        }
        left << half | right
    }
}

/// Gives the length of each fragment of a frame to `send`, with what writes it. Returns whether
/// all were sent; after one that was not, the others are of no use.
pub(crate) fn split(
    frame: &[u8],
    mtu: usize,
    numbers: &Numbers,
    send: impl Fn(usize, &mut dyn FnMut(&mut [u8])) -> bool,
) -> bool {
    let head = plain::head(frame);
    let Some((old, mut rest)) = frame.split_at_checked(head) else { return false };
    let ipv4 = head == HEADER + 20;
    let id = numbers.take(ipv4);
    let extra = if ipv4 { 0 } else { 8 };
    let mtu = if ipv4 { mtu } else { mtu.min(LEAST_V6) };
    let most = (HEADER + mtu).saturating_sub(head + extra) & !7;
    let mut offset = 0_usize;
    while most > 0 && !rest.is_empty() {
        let (part, after) = rest.split_at(most.min(rest.len()));
        let more = u16::from(!after.is_empty());
        let sent = send(head + extra + part.len(), &mut |to| {
            if ipv4 {
                fill(to, &[old, part]);
                put(to, HEADER + 2, (20 + part.len()) as u16);
                put(to, HEADER + 4, id as u16);
                put(to, HEADER + 6, more << 13 | (offset / 8) as u16);
                plain::seal(to);
            } else {
                let protocol = old.get(HEADER + 6).copied().unwrap_or_default();
                let place = offset as u16 | more;
                let header = [&[protocol, 0][..], &place.to_be_bytes(), &id.to_be_bytes(), part];
                fill(to, &[old]);
                put(to, HEADER + 4, (8 + part.len()) as u16);
                fill(&mut to[HEADER + 6..], &[&[FRAGMENT]]);
                fill(&mut to[head..], &header);
            }
        });
        if !sent {
            return false;
        }
        (rest, offset) = (after, offset + part.len());
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_come_once_and_in_no_order_t6() {
        kernel::testing::simulate_randomness();
        let numbers = [Numbers::new().unwrap(), Numbers::new().unwrap()];
        for numbers in &numbers {
            let all: BTreeSet<_> = (0..1 << 16).map(|_| numbers.take(true)).collect();
            assert_eq!((all.len(), all.last()), (1 << 16, Some(&0xffff)));
            let all: BTreeSet<_> = (0..1 << 16).map(|_| numbers.take(false)).collect();
            assert_eq!(all.len(), 1 << 16);
            assert!(all.iter().any(|it| it >> 31 == 1) && all.iter().any(|it| it >> 31 == 0));
        }
        for ipv4 in [true, false] {
            let steps = |it: &Numbers| -> BTreeSet<u32> {
                let mut last = it.take(ipv4);
                let next = || {
                    let next = it.take(ipv4);
                    next.wrapping_sub(core::mem::replace(&mut last, next))
                };
                core::iter::repeat_with(next).take(100).collect()
            };
            let [one, other] = numbers.each_ref().map(steps);
            assert!(one.len() > 95 && other.len() > 95 && one.intersection(&other).count() < 5);
        }
    }
}
