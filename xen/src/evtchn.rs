//! Event channels (`public/event_channel.h`), in the two-level ABI: one bit a
//! port in the shared info page.

use crate::hypercall::event_channel_op_send;
use crate::public::shared_info;
use crate::{Errno, memory};
use core::mem::offset_of;

/// Ports of the two-level ABI: 64 words of 64 bits.
const PORTS: u32 = 64 * 64;

/// The local end of an event channel.
#[derive(Debug, PartialEq, Eq)]
pub struct Port {
    number: u32,
}

impl Port {
    /// Takes charge of a port that the domain builder made, or nothing when
    /// the number cannot be a port.
    #[must_use]
    pub fn adopt(number: u32) -> Option<Self> {
        (1..PORTS).contains(&number).then_some(Self { number })
    }

    /// The number that hypercalls know it by.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Makes the other end pending.
    ///
    /// # Errors
    /// `EINVAL` when the other end is gone.
    pub fn notify(&self) -> Result<(), Errno> {
        event_channel_op_send(self.number)
    }

    /// Whether an event came since this was last asked; forgets it.
    #[must_use]
    pub fn take_pending(&self, shared_info: &memory::SharedPage) -> bool {
        let word = offset_of!(shared_info, evtchn_pending) + (self.number / 64) as usize * 8;
        shared_info.take_bits(word, 1 << (self.number % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Fake, leaked_page};

    #[test]
    fn pending_is_taken_once() {
        let page = leaked_page();
        let port = Port::adopt(66).unwrap();
        assert!(!port.take_pending(&page));
        let word = offset_of!(shared_info, evtchn_pending) + 8;
        page.copy_in(word, &0b101_u64.to_le_bytes());
        assert!(port.take_pending(&page));
        assert!(!port.take_pending(&page));
        assert_eq!(page.load_u64(word), 0b001, "port 64 stays pending");
    }

    #[test]
    fn numbers_that_cannot_be_ports_are_refused() {
        assert_eq!(Port::adopt(0), None);
        assert_eq!(Port::adopt(4096), None);
    }

    #[test]
    fn notify_reaches_the_hypervisor() {
        let fake = Fake::new();
        Port::adopt(3).unwrap().notify().unwrap();
        assert_eq!(fake.notifications(3), 1);
    }
}
