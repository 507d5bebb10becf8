//! The sockets of the machine: `/proc/net` (proc(5)), as lsof and netstat read it.

use crate::memory::widen;
use crate::process::Process;
use crate::socket::{Address, Name, Socket, SocketFile, Style};
use crate::system::System;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use linux_raw_sys::net::{
    AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, SO_ACCEPTCONN, SOL_SOCKET, TCP_INFO,
};

/// The width of a line of `tcp`, which programs may seek by.
const TCP_WIDTH: usize = 149;

/// The column of an inode's number in `udp` and `raw`.
const WIDTH: usize = 127;

/// What a file lists: its name, the family, the style, and how its lines begin.
const LISTS: [(&str, u32, Style); 6] = [
    ("net/tcp", AF_INET, Style::Stream),
    ("net/tcp6", AF_INET6, Style::Stream),
    ("net/udp", AF_INET, Style::Datagram),
    ("net/udp6", AF_INET6, Style::Datagram),
    ("net/raw", AF_INET, Style::Raw),
    ("net/raw6", AF_INET6, Style::Raw),
];

/// Files of what there never is.
const EMPTY: [(&str, &str); 3] = [
    ("net/arp", "IP address       HW type     Flags       HW address            Mask     Device\n"),
    (
        "net/netlink",
        "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n",
    ),
    ("net/packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"),
];

/// Adds them.
pub(super) fn add(system: &Rc<System>) {
    for (path, family, style) in LISTS {
        let here = Rc::downgrade(system);
        system
            .proc
            .add(path, move || here.upgrade().map_or_else(Vec::new, |it| inet(&it, family, style)));
    }
    let here = Rc::downgrade(system);
    system.proc.add("net/unix", move || here.upgrade().map_or_else(Vec::new, |it| unix(&it)));
    let here = Rc::downgrade(system);
    system.proc.add("net/sockstat", move || {
        here.upgrade().map_or_else(Vec::new, |it| counts(&it).into_bytes())
    });
    let here = Rc::downgrade(system);
    system.proc.add("net/if_inet6", move || {
        here.upgrade().map_or_else(String::new, |it| addresses(&it)).into_bytes()
    });
    for (path, text) in EMPTY {
        system.proc.add_fixed(path, text);
    }
}

/// Calls `each` for every socket that a process has open, once, with a process that has it.
fn sockets(system: &System, each: &mut dyn FnMut(&Process, &dyn Socket)) {
    let mut seen = Vec::new();
    for process in system.processes() {
        let files = process.files();
        for fd in files.numbers() {
            let Ok(open) = files.get(fd as u64) else { continue };
            let Ok(socket) = SocketFile::of(&open) else { continue };
            let inode = socket.inode();
            // By ascending numbers, as they are mostly made: a search costs little.
            let Err(at) = seen.binary_search(&inode) else { continue };
            if widen(&mut seen, 1).is_err() {
                return;
            }
            seen.insert(at, inode);
            each(&process, &**socket);
        }
    }
}

/// An address as hexadecimal digits of words in the processor's order.
fn digits(address: &Address) -> String {
    let Address::Inet(address) = address else { return String::new() };
    let words = |octets: &[u8]| -> String {
        let word =
            |it: &[u8]| it.iter().rev().map(|byte| format!("{byte:02X}")).collect::<String>();
        octets.chunks(4).map(word).collect()
    };
    let host = match address {
        SocketAddr::V4(it) => words(&it.ip().octets()),
        SocketAddr::V6(it) => words(&it.ip().octets()),
    };
    format!("{host}:{:04X}", address.port())
}

/// The state of a connection, by the numbers of `include/net/tcp_states.h`.
fn state(socket: &dyn Socket) -> u8 {
    const ESTABLISHED: u8 = 1;
    const CLOSE: u8 = 7;
    match socket.form().style {
        Style::Stream => {
            let info = socket.option(IPPROTO_TCP as u32, TCP_INFO);
            info.ok().and_then(|it| it.first().copied()).unwrap_or(CLOSE)
        }
        _ if socket.peer().is_ok() => ESTABLISHED,
        _ => CLOSE,
    }
}

/// Appends a line, if there is memory.
fn push(text: &mut Vec<u8>, line: &str, width: usize) {
    if widen(text, line.len().max(width) + 1).is_ok() {
        text.extend_from_slice(line.as_bytes());
        text.extend(core::iter::repeat_n(b' ', width.saturating_sub(line.len())));
        text.push(b'\n');
    }
}

fn inet(system: &System, family: u32, style: Style) -> Vec<u8> {
    let (mut text, mut number) = (Vec::new(), 0);
    let (width, remote) =
        if family == AF_INET { (14, "rem_address") } else { (38, "remote_address") };
    let wide = format!("{:<width$}{remote:<width$}", "local_address");
    let head = match style {
        Style::Stream => {
            format!("  sl  {wide}st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",)
        }
        _ => format!(
            "   sl  {wide}st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
        ),
    };
    let width = if style == Style::Stream { TCP_WIDTH } else { WIDTH };
    push(&mut text, &head, width);
    let none = Address::Inet(SocketAddr::new(
        match family {
            AF_INET => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
            _ => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
        },
        0,
    ));
    sockets(system, &mut |process, socket| {
        let form = socket.form();
        if (form.family, form.style) != (family, style) {
            return;
        }
        let state = state(socket);
        let (local, peer) = (socket.local(), socket.peer().unwrap_or_else(|_| none.clone()));
        // Of a socket that has no address yet nobody knows.
        if style == Style::Stream && state == 7 && local == none {
            return;
        }
        let [read, unsent] = socket.queued();
        let line = format!(
            "{number:4}: {} {} {state:02X} {unsent:08X}:{read:08X} 00:00000000 00000000 {:5} {:8} {} 1 0",
            digits(&local),
            digits(&peer),
            process.credentials.borrow().user.effective,
            0,
            socket.inode(),
        );
        push(&mut text, &line, width);
        number += 1;
    });
    text
}

fn unix(system: &System) -> Vec<u8> {
    let mut text = b"Num       RefCount Protocol Flags    Type St Inode Path\n".to_vec();
    sockets(system, &mut |_, socket| {
        let form = socket.form();
        if form.family != AF_UNIX {
            return;
        }
        let listens = socket.option(SOL_SOCKET, SO_ACCEPTCONN);
        let listens = listens.is_ok_and(|it| it.first() == Some(&1));
        let state = if socket.peer().is_ok() { 3 } else { 1 };
        let mut line = format!(
            "{:016x}: 00000002 00000000 {:08X} {:04X} {state:02X} {:5}",
            0,
            u32::from(listens) << 16,
            form.style.number(),
            socket.inode(),
        );
        if let Address::Unix(name) = socket.local() {
            let (mark, name) = match name {
                Name::Unnamed => ("", Vec::new()),
                Name::Path(path) => (" ", path),
                Name::Abstract(name) => (" @", name),
            };
            line.push_str(mark);
            line.push_str(&String::from_utf8_lossy(&name).replace(['\0', '\n'], "@"));
        }
        push(&mut text, &line, 0);
    });
    text
}

/// How many sockets there are.
fn counts(system: &System) -> String {
    let (mut all, mut of) = (0, [0; LISTS.len()]);
    sockets(system, &mut |_, socket| {
        all += 1;
        let form = socket.form();
        let at = LISTS.iter().position(|it| (it.1, it.2) == (form.family, form.style));
        if let Some(count) = at.and_then(|at| of.get_mut(at)) {
            *count += 1;
        }
    });
    let [tcp, _, udp, _, raw, _] = of;
    format!(
        "sockets: used {all}\nTCP: inuse {tcp} orphan 0 tw 0 alloc {tcp} mem 0\n\
         UDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse {raw}\nFRAG: inuse 0 memory 0\n"
    )
}

/// The addresses of IPv6, as `if_inet6` has them: with the interface, the bits of the network, the
/// scope and that it is permanent.
fn addresses(system: &System) -> String {
    let mut text = String::new();
    let Ok(network) = system.network() else { return text };
    for interface in network.interfaces() {
        for (address, bits) in &interface.addresses {
            let IpAddr::V6(address) = address else { continue };
            let scope = match address {
                it if it.is_loopback() => 0x10,
                it if it.is_unicast_link_local() => 0x20,
                _ => 0,
            };
            text.push_str(&format!(
                "{:032x} {:02x} {bits:02x} {scope:02x} 80 {:>8}\n",
                address.to_bits(),
                interface.index,
                interface.name,
            ));
        }
    }
    text
}
