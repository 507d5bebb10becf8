//! Event channels: the guest's ports, and who is at their other ends.

use super::{EEXIST, EINVAL, ENOSPC, EPERM};
use crate::DomId;
use crate::evtchn::PortNumber;
use crate::public::{shared_info, vcpu_info};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::offset_of;

/// The vCPU's own part of the page, which begins with `evtchn_upcall_pending`.
pub(super) const VCPU: usize = offset_of!(shared_info, vcpu_info);

/// The first port that the guest gets: the toolstack's are below.
const FIRST: u32 = 3;

/// `EVTCHNSTAT_*`.
const CLOSED: u32 = 0;
const UNBOUND: u32 = 1;
const INTERDOMAIN: u32 = 2;

/// A port that the guest made.
struct Channel {
    remote: DomId,
    bound: bool,
    /// Raised by the hypervisor itself.
    virtual_interrupt: bool,
}

/// All that is known of event channels.
pub(super) struct Events {
    channels: BTreeMap<PortNumber, Channel>,
    /// Ports that were open once: sending on one is an error.
    once: BTreeSet<PortNumber>,
    pub(super) closed: Vec<PortNumber>,
    pub(super) notifications: BTreeMap<PortNumber, u64>,
    /// Ports on which the guest sent, until the other end looks.
    kicked: BTreeSet<PortNumber>,
    /// Ports that the guest may have open.
    pub(super) limit: usize,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            channels: BTreeMap::new(),
            once: BTreeSet::new(),
            closed: Vec::new(),
            notifications: BTreeMap::new(),
            kicked: BTreeSet::new(),
            limit: 1024,
        }
    }
}

impl Events {
    /// `EVTCHNOP_alloc_unbound`: the lowest number that is free, as Xen gives it.
    pub(super) fn alloc_unbound(
        &mut self,
        domain: DomId,
        remote: DomId,
    ) -> Result<PortNumber, i64> {
        if domain != DomId::SELF {
            return Err(EPERM);
        }
        self.alloc(Channel { remote, bound: false, virtual_interrupt: false })
    }

    /// All ports are gone, and masked as those of a new domain that the toolstack has restored.
    pub(super) fn renew(&mut self) {
        *self = Self { limit: self.limit, ..Self::default() };
        let page = &crate::domain().shared_info;
        for word in 0..64 {
            page.store_u64(offset_of!(shared_info, evtchn_pending) + word * 8, 0);
            page.store_u64(offset_of!(shared_info, evtchn_mask) + word * 8, !0);
        }
        page.store_u64(VCPU + offset_of!(vcpu_info, evtchn_pending_sel), 0);
    }

    fn alloc(&mut self, channel: Channel) -> Result<PortNumber, i64> {
        let number =
            (FIRST..4096).map(PortNumber).find(|number| !self.channels.contains_key(number));
        let number = number.filter(|_| self.channels.len() < self.limit).ok_or(ENOSPC)?;
        self.channels.insert(number, channel);
        self.once.remove(&number);
        Ok(number)
    }

    /// `EVTCHNOP_bind_virq` of the only one that there is, the timer's.
    pub(super) fn bind_timer(&mut self) -> Result<PortNumber, i64> {
        if self.timer().is_some() {
            return Err(EEXIST);
        }
        self.alloc(Channel { remote: DomId(0), bound: true, virtual_interrupt: true })
    }

    /// The port of the timer.
    pub(super) fn timer(&self) -> Option<PortNumber> {
        let mut all = self.channels.iter();
        all.find(|(_, channel)| channel.virtual_interrupt).map(|(&number, _)| number)
    }

    /// `EVTCHNOP_close`.
    pub(super) fn close(&mut self, port: PortNumber) -> i64 {
        self.closed.push(port);
        if self.once.contains(&port) {
            return EINVAL;
        }
        if self.channels.remove(&port).is_some() {
            self.once.insert(port);
            let word = pending(port);
            crate::domain().shared_info.take_bits(word, port.bit());
        }
        self.kicked.remove(&port);
        0
    }

    /// `EVTCHNOP_send`. Ports that were never allocated count as the toolstack's.
    pub(super) fn send(&mut self, port: PortNumber) -> i64 {
        if self.once.contains(&port) {
            return EINVAL;
        }
        *self.notifications.entry(port).or_default() += 1;
        // Nobody hears what is sent before the other end binds to the port.
        if self.channels.get(&port).is_none_or(|channel| channel.bound) {
            self.kicked.insert(port);
        }
        0
    }

    /// `EVTCHNOP_status`: the state and the remote domain.
    pub(super) fn status(&self, port: PortNumber) -> (u32, DomId) {
        match self.channels.get(&port) {
            Some(channel) => (if channel.bound { INTERDOMAIN } else { UNBOUND }, channel.remote),
            None => (CLOSED, DomId(0)),
        }
    }

    /// `EVTCHNOP_bind_interdomain` by domain `domain`.
    pub(super) fn bind(&mut self, port: PortNumber, domain: DomId) -> Result<(), i64> {
        match self.channels.get_mut(&port) {
            Some(channel) if channel.remote == domain && !channel.bound => {
                channel.bound = true;
                // What was sent before may not have arrived.
                self.kicked.insert(port);
                Ok(())
            }
            _ => Err(EINVAL),
        }
    }

    /// The other end goes away.
    pub(super) fn unbind(&mut self, port: PortNumber) {
        if let Some(channel) = self.channels.get_mut(&port) {
            channel.bound = false;
        }
        self.kicked.remove(&port);
    }

    /// Whether the guest sent on `port` since the last call.
    pub(super) fn take_kick(&mut self, port: PortNumber) -> bool {
        self.kicked.remove(&port)
    }

    /// Whether the other end of `port` is bound.
    pub(super) fn is_bound(&self, port: PortNumber) -> bool {
        self.channels.get(&port).is_some_and(|channel| channel.bound)
    }

    /// The ports to others that the guest made and did not close.
    pub(super) fn open(&self) -> BTreeSet<PortNumber> {
        let others = self.channels.iter().filter(|(_, channel)| !channel.virtual_interrupt);
        others.map(|(&number, _)| number).collect()
    }
}

fn pending(port: PortNumber) -> usize {
    offset_of!(shared_info, evtchn_pending) + port.word() as usize * 8
}

/// Makes `port` pending (Xen's common/event_2l.c).
pub(super) fn raise(port: PortNumber) {
    let page = &crate::domain().shared_info;
    let (word, bit) = (port.word() as usize, port.bit());
    let is_set = |offset: usize, bit: u64| page.load_u64(offset) & bit != 0;
    if is_set(pending(port), bit) {
        return;
    }
    page.set_bits(pending(port), bit);
    let selector = VCPU + offset_of!(vcpu_info, evtchn_pending_sel);
    let masked = is_set(offset_of!(shared_info, evtchn_mask) + word * 8, bit);
    if !masked && !is_set(selector, 1 << word) {
        page.set_bits(selector, 1 << word);
        page.set_bits(VCPU, 1);
    }
}
