//! Sockets: the ends of TCP connections, UDP ports and echo requests.
//!
//! One is found by whom its packets are from and for, is looked at when something touched it
//! or its own deadline has come, and costs nothing otherwise: ten thousand connections that
//! say nothing cost those that do nothing.

use super::deadlines::Deadlines;
use super::endpoint::Endpoint;
use super::port::Port;
use super::request::Echo;
use crate::packet::Segment;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use kernel::time::Instant;

/// A socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(pub(super) u32);

/// Whose packets a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    local: u128,
    peer: u128,
    ports: u32,
}

/// An IPv4 address as the IPv6 address that stands for it.
const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Key {
    /// A TCP connection's.
    pub(super) fn tcp(local: SocketAddr, peer: SocketAddr) -> Self {
        let ports = u32::from(local.port()) << 16 | u32::from(peer.port());
        Self { local: bits(local.ip()), peer: bits(peer.ip()), ports }
    }

    pub(super) fn of(segment: &Segment) -> Self {
        Self::tcp(segment.local, segment.peer)
    }

    /// That of a UDP socket which is bound to `only` this address, or to all.
    pub(super) fn udp(only: Option<IpAddr>, port: u16) -> Self {
        Self { local: only.map_or(0, bits), peer: 0, ports: port.into() }
    }

    /// Those of the answers to an echo request.
    pub(super) const fn echo(ident: u16) -> Self {
        Self { local: 0, peer: 1, ports: ident as u32 }
    }
}

/// What stands in a place.
pub(super) enum Body {
    /// An end of a TCP connection.
    Tcp(Box<Endpoint>),
    /// A UDP port.
    Udp(Box<Port>),
    /// An echo request.
    Echo(Box<Echo>),
}

/// A socket, of whatever kind.
pub(super) struct Place {
    pub(super) body: Body,
    key: Option<Key>,
    /// It waits to be looked at.
    touched: bool,
}

/// All of them.
pub(super) struct Sets {
    places: Vec<Option<Place>>,
    free: Vec<u32>,
    keys: HashMap<Key, u32, FixedState>,
    touched: VecDeque<u32>,
    pub(super) deadlines: Deadlines,
    /// TCP connections.
    pub(super) connections: usize,
    /// UDP ports whose sockets were dropped.
    pub(super) orphans: usize,
}

impl Sets {
    /// None. Nobody who does not know `seed` can choose keys that collide.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            keys: HashMap::with_hasher(FixedState::with_seed(seed)),
            touched: VecDeque::new(),
            deadlines: Deadlines::default(),
            connections: 0,
            orphans: 0,
        }
    }

    /// Whether one more can be added, and looked after, without more memory.
    pub(super) fn has_room(&mut self) -> bool {
        let all = self.places.len() + 1 - self.free.len().min(1);
        let (free, touched) = (self.free.len(), self.touched.len());
        self.places.try_reserve(1).is_ok()
            && self.free.try_reserve(all.saturating_sub(free)).is_ok()
            && self.keys.try_reserve(1).is_ok()
            && self.touched.try_reserve(all.saturating_sub(touched)).is_ok()
            && self.deadlines.reserve(all)
    }

    /// Adds what the packets of `key` are for.
    pub(super) fn add(&mut self, body: Body, key: Option<Key>) -> Handle {
        let place = Place { body, key, touched: false };
        let id = if let Some(id) = self.free.pop() {
            id
        } else {
            self.places.push(None);
            self.places.len() as u32 - 1
        };
        self.places[id as usize] = Some(place);
        if let Some(key) = key {
            self.keys.insert(key, id);
        }
        self.touch(Handle(id));
        Handle(id)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, handle: Handle) {
        self.hide(handle);
        let Some(place) = self.places.get_mut(handle.0 as usize).and_then(Option::take) else {
            return;
        };
        self.deadlines.remove(handle.0);
        self.orphans -= usize::from(matches!(place.body, Body::Udp(port) if port.orphan));
        self.free.push(handle.0);
    }

    /// No packets are for this socket any more.
    pub(super) fn hide(&mut self, handle: Handle) {
        if let Some(Some(place)) = self.places.get_mut(handle.0 as usize)
            && let Some(key) = place.key.take()
            && self.keys.get(&key) == Some(&handle.0)
        {
            self.keys.remove(&key);
        }
    }

    /// The socket that the packets of `key` are for.
    pub(super) fn find(&self, key: Key) -> Option<Handle> {
        self.keys.get(&key).copied().map(Handle)
    }

    /// The packets of `key` are for nobody any more.
    pub(super) fn forget(&mut self, key: Key) {
        self.keys.remove(&key);
    }

    /// The place of a handle that is held.
    pub(super) fn get(&self, handle: Handle) -> &Place {
        self.places.get(handle.0 as usize).and_then(Option::as_ref).expect("it is held")
    }

    /// The place of a handle that is held.
    pub(super) fn get_mut(&mut self, handle: Handle) -> &mut Place {
        self.places.get_mut(handle.0 as usize).and_then(Option::as_mut).expect("it is held")
    }

    /// The end of a connection that is held.
    pub(super) fn endpoint(&self, handle: Handle) -> &Endpoint {
        match &self.get(handle).body {
            Body::Tcp(endpoint) => endpoint,
            _ => unreachable!("it is a connection's handle"),
        }
    }

    /// The end of a connection that is held.
    pub(super) fn endpoint_mut(&mut self, handle: Handle) -> &mut Endpoint {
        match &mut self.get_mut(handle).body {
            Body::Tcp(endpoint) => endpoint,
            _ => unreachable!("it is a connection's handle"),
        }
    }

    /// The socket has to be looked at.
    pub(super) fn touch(&mut self, handle: Handle) {
        if let Some(Some(place)) = self.places.get_mut(handle.0 as usize)
            && !core::mem::replace(&mut place.touched, true)
        {
            self.touched.push_back(handle.0);
        }
    }

    /// Every socket has to be looked at.
    pub(super) fn touch_all(&mut self) {
        (0..self.places.len() as u32).for_each(|id| self.touch(Handle(id)));
    }

    /// Touches those that are due.
    pub(super) fn wake(&mut self, now: Instant) {
        while let Some(id) = self.deadlines.take(now) {
            self.touch(Handle(id));
        }
    }

    /// How many wait to be looked at.
    pub(super) fn waiting(&self) -> usize {
        self.touched.len()
    }

    /// The next one to be looked at.
    pub(super) fn next(&mut self) -> Option<Handle> {
        loop {
            let id = self.touched.pop_front()?;
            // It may have been removed meanwhile.
            if let Some(Some(place)) = self.places.get_mut(id as usize) {
                place.touched = false;
                return Some(Handle(id));
            }
        }
    }

    /// A UDP port.
    pub(super) fn port_mut(&mut self, handle: Handle) -> Option<&mut Port> {
        match &mut self.places.get_mut(handle.0 as usize)?.as_mut()?.body {
            Body::Udp(port) => Some(port),
            _ => None,
        }
    }

    /// An echo request.
    pub(super) fn echo_mut(&mut self, handle: Handle) -> Option<&mut Echo> {
        match &mut self.places.get_mut(handle.0 as usize)?.as_mut()?.body {
            Body::Echo(echo) => Some(echo),
            _ => None,
        }
    }

    /// The numbers of UDP ports that somebody holds.
    pub(super) fn ports(&self) -> impl Iterator<Item = u16> {
        self.places.iter().flatten().filter_map(|place| match &place.body {
            Body::Udp(port) if !port.orphan => Some(port.number),
            _ => None,
        })
    }

    /// Wakes all who wait for a UDP port or an echo.
    pub(super) fn wake_all(&mut self) {
        for place in self.places.iter_mut().flatten() {
            match &mut place.body {
                Body::Udp(port) => port.wake_all(),
                Body::Echo(echo) => echo.wake_all(),
                Body::Tcp(_) => {}
            }
        }
    }

    /// Every TCP connection.
    pub(super) fn endpoints(&mut self) -> impl Iterator<Item = &mut Endpoint> {
        self.places.iter_mut().flatten().filter_map(|place| match &mut place.body {
            Body::Tcp(endpoint) => Some(&mut **endpoint),
            _ => None,
        })
    }
}
