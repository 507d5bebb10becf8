//! A lease that goes on in another image of the same machine.

use super::client::{Client, Held, State, Times};
use super::terms::{Lease, ROUTES, Route, SERVERS, is_host};
use core::array;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use devices::net::Mac;
use kernel::time::Instant;
use serde::{Deserialize, Serialize};

/// What a client has.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    address: Ipv4Addr,
    bits: u8,
    /// Network, bits of its prefix, and hop of each.
    routes: [Option<(Ipv4Addr, u8, Ipv4Addr)>; ROUTES],
    servers: [Option<IpAddr>; SERVERS],
    server: Ipv4Addr,
    way: [u8; 6],
    /// Milliseconds until it ends, and until more time is asked for: of the server, and of all.
    times: Option<[u64; 3]>,
}

impl Client {
    /// Returns what it has; nothing while it asks for an address.
    pub(crate) fn save(&self, now: Instant) -> Option<Moved> {
        let Held { lease, server, way, times } = self.held.as_ref()?;
        let left = |at: Instant| at.saturating_duration_since(now).as_millis() as u64;
        Some(Moved {
            address: lease.address,
            bits: lease.bits,
            routes: array::from_fn(|at| {
                lease.routes.get(at).map(|it| (it.network, it.bits, it.hop))
            }),
            servers: array::from_fn(|at| lease.servers.get(at).copied()),
            server: *server,
            way: way.0,
            times: times.map(|it| [it.end, it.renew, it.rebind].map(left)),
        })
    }

    /// Has what another one had, instead of asking. Returns false, and asks, if no server gives
    /// such a thing.
    pub(crate) fn restore(&mut self, moved: Moved, now: Instant) -> bool {
        let hops = moved.routes.iter().flatten().all(|&(_, bits, hop)| bits <= 32 && is_host(hop));
        if !is_host(moved.address) || !is_host(moved.server) || moved.bits > 32 || !hops {
            return false;
        }
        let at = |left: u64| now.saturating_add(Duration::from_millis(left));
        let times = moved.times.map(|it| {
            let [end, renew, rebind] = it.map(at);
            Times { end, renew, rebind }
        });
        let route = |(network, bits, hop)| Route { network, bits, hop };
        let lease = Lease {
            address: moved.address,
            bits: moved.bits,
            routes: moved.routes.into_iter().flatten().map(route).collect(),
            servers: moved.servers.into_iter().flatten().collect(),
        };
        self.held = Some(Held { lease, server: moved.server, way: Mac(moved.way), times });
        (self.state, self.news) = (State::Bound, true);
        self.until = times.map(|it| it.renew);
        true
    }
}
