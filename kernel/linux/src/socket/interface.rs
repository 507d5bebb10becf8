//! The interfaces of the machine, and what a program asks of them by any socket (netdevice(7)).

use crate::errno::Errno;
use crate::memory::Memory;
use crate::stop::Stop;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use linux_raw_sys::ioctl::{
    SIOCGIFADDR, SIOCGIFBRDADDR, SIOCGIFCONF, SIOCGIFDSTADDR, SIOCGIFFLAGS, SIOCGIFHWADDR,
    SIOCGIFINDEX, SIOCGIFMETRIC, SIOCGIFMTU, SIOCGIFNAME, SIOCGIFNETMASK, SIOCGIFTXQLEN,
};
use linux_raw_sys::net::AF_INET;

/// Bytes of a name (`IFNAMSIZ`), and of `struct ifreq`, which begins with one.
const NAME: usize = 16;
const REQUEST: usize = 40;

/// Packets that wait to be sent at most, as Linux has it for Ethernet.
const QUEUE: u32 = 1000;

/// An interface as it is told.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its number, from 1.
    pub index: u32,
    /// Its name.
    pub name: &'static str,
    /// Its Ethernet address; zeros for loopback.
    pub mac: [u8; 6],
    /// Bytes of a packet.
    pub mtu: u32,
    /// Its addresses, each with the bits of its network.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// Returns the one that is the machine itself.
    #[must_use]
    pub(super) fn loopback() -> Self {
        let addresses = alloc::vec![
            (IpAddr::V4(Ipv4Addr::LOCALHOST), 8),
            (IpAddr::V6(core::net::Ipv6Addr::LOCALHOST), 128),
        ];
        Self { index: 1, name: "lo", mac: [0; 6], mtu: 65_536, addresses }
    }

    /// Returns whether it is the machine itself.
    pub(super) const fn is_loopback(&self) -> bool {
        self.index == 1
    }

    /// `IFF_UP`, `IFF_RUNNING`, `IFF_LOWER_UP`, and what loopback and Ethernet differ in.
    pub(super) const fn flags(&self) -> u32 {
        if self.is_loopback() { 0x1_0049 } else { 0x1_1043 }
    }

    /// `ARPHRD_LOOPBACK` or `ARPHRD_ETHER`.
    pub(super) const fn hardware(&self) -> u16 {
        if self.is_loopback() { 772 } else { 1 }
    }

    /// The address of all in the network of `own`, if there is one.
    pub(super) fn broadcast(&self, own: Ipv4Addr, bits: u8) -> Option<Ipv4Addr> {
        let all = own.to_bits() | u32::MAX.checked_shr(bits.into()).unwrap_or(0);
        (!self.is_loopback() && bits < 31).then(|| Ipv4Addr::from_bits(all))
    }

    /// Its first address of IPv4.
    fn ipv4(&self) -> Result<(Ipv4Addr, u8), Errno> {
        let v4 = self.addresses.iter().find_map(|&(address, bits)| match address {
            IpAddr::V4(address) => Some((address, bits)),
            IpAddr::V6(_) => None,
        });
        v4.ok_or(Errno::EADDRNOTAVAIL)
    }
}

/// Answers a request of netdevice(7) that changes nothing.
///
/// # Errors
/// `ENOTTY` for others, `ENODEV`, `EADDRNOTAVAIL`, `EFAULT`.
pub(crate) fn ioctl(
    memory: &Memory,
    interfaces: &[Interface],
    request: u32,
    argument: u64,
) -> Result<(), Stop> {
    if request == SIOCGIFCONF {
        return list(memory, interfaces, argument);
    }
    let mut form: [u8; REQUEST] = memory.get(argument)?;
    let (name, rest) = form.split_at_mut(NAME);
    if request == SIOCGIFNAME {
        let index = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]);
        let found = interfaces.iter().find(|it| it.index == index).ok_or(Errno::ENODEV)?;
        name.copy_from_slice(&padded(found.name));
        memory.put(argument, &form)?;
        return Ok(());
    }
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
    let asked = &name[..length];
    let found = || interfaces.iter().find(|it| it.name.as_bytes() == asked);
    let interface = || found().ok_or(Errno::ENODEV);
    let set = |to: &mut [u8], value: &[u8]| to[..value.len()].copy_from_slice(value);
    match request {
        SIOCGIFFLAGS => set(rest, &(interface()?.flags() as u16).to_ne_bytes()),
        SIOCGIFINDEX => set(rest, &interface()?.index.to_ne_bytes()),
        SIOCGIFMTU => set(rest, &interface()?.mtu.to_ne_bytes()),
        SIOCGIFMETRIC => {
            interface()?;
            set(rest, &[0; 4]);
        }
        SIOCGIFTXQLEN => {
            interface()?;
            set(rest, &QUEUE.to_ne_bytes());
        }
        SIOCGIFHWADDR => {
            let it = interface()?;
            set(rest, &[0; 16]);
            set(rest, &it.hardware().to_ne_bytes());
            set(&mut rest[2..], &it.mac);
        }
        SIOCGIFADDR | SIOCGIFDSTADDR => set(rest, &address(interface()?.ipv4()?.0)),
        SIOCGIFNETMASK => {
            let (_, bits) = interface()?.ipv4()?;
            let mask = !u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            set(rest, &address(Ipv4Addr::from_bits(mask)));
        }
        SIOCGIFBRDADDR => {
            let it = interface()?;
            let (own, bits) = it.ipv4()?;
            set(rest, &address(it.broadcast(own, bits).unwrap_or(Ipv4Addr::UNSPECIFIED)));
        }
        _ => return Err(Errno::ENOTTY.into()),
    }
    memory.put(argument, &form)?;
    Ok(())
}

/// `SIOCGIFCONF`: a `struct ifreq` for each interface with an address of IPv4, as many as there is
/// room for; without a buffer, how many bytes that would be.
fn list(memory: &Memory, interfaces: &[Interface], argument: u64) -> Result<(), Stop> {
    let room: i32 = memory.get(argument)?;
    let buffer: u64 = memory.get(argument + 8)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let mut forms = Vec::new();
    for it in interfaces {
        if let Ok((own, _)) = it.ipv4() {
            forms.extend(padded(it.name));
            forms.extend(address(own));
            forms.resize(forms.len() + REQUEST - NAME - 16, 0);
        }
    }
    if buffer != 0 {
        forms.truncate(room / REQUEST * REQUEST);
        memory.write(buffer as usize, &forms)?;
    }
    memory.put(argument, &(forms.len() as i32))
}

/// A name with zeros behind it.
fn padded(name: &str) -> [u8; NAME] {
    let mut padded = [0; NAME];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    padded
}

/// `struct sockaddr_in` without a port.
fn address(address: Ipv4Addr) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.octets());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Caller;
    use crate::testing::{room, thread};

    /// `lo` and an interface with the address 10.0.0.2/24.
    fn interfaces() -> Vec<Interface> {
        let addresses = alloc::vec![(Ipv4Addr::new(10, 0, 0, 2).into(), 24)];
        let mac = [2, 0, 0, 0, 0, 9];
        alloc::vec![
            Interface::loopback(),
            Interface { index: 2, name: "eth0", mac, mtu: 1500, addresses }
        ]
    }

    fn ask(request: u32, name: &str, value: [u8; 24]) -> Result<[u8; REQUEST], Errno> {
        let memory = thread().memory();
        let at = room(&memory, 4096) as u64;
        memory.put(at, &padded(name)).unwrap();
        memory.put(at + NAME as u64, &value).unwrap();
        match ioctl(&memory, &interfaces(), request, at) {
            Ok(()) => Ok(memory.get(at).unwrap()),
            Err(Stop::Fail(errno)) => Err(errno),
            Err(_) => panic!("waits"),
        }
    }

    #[test]
    fn an_interface_tells_what_it_is() {
        let ask = |request, name| ask(request, name, [0; 24]).map(|it| it[NAME..NAME + 8].to_vec());
        assert_eq!(ask(SIOCGIFADDR, "eth0").unwrap(), [2, 0, 0, 0, 10, 0, 0, 2]);
        assert_eq!(ask(SIOCGIFNETMASK, "eth0").unwrap(), [2, 0, 0, 0, 255, 255, 255, 0]);
        assert_eq!(ask(SIOCGIFBRDADDR, "eth0").unwrap(), [2, 0, 0, 0, 10, 0, 0, 255]);
        assert_eq!(ask(SIOCGIFHWADDR, "eth0").unwrap(), [1, 0, 2, 0, 0, 0, 0, 9]);
        assert_eq!(ask(SIOCGIFMTU, "eth0").unwrap()[..4], 1500_u32.to_ne_bytes());
        assert_eq!(ask(SIOCGIFINDEX, "lo").unwrap()[..4], 1_u32.to_ne_bytes());
        assert_eq!(ask(SIOCGIFFLAGS, "lo").unwrap()[..2], 0x49_u16.to_ne_bytes());
        assert_eq!(ask(SIOCGIFADDR, "eth1"), Err(Errno::ENODEV));
        assert_eq!(ask(1, "eth0"), Err(Errno::ENOTTY));
    }

    #[test]
    fn a_number_has_a_name() {
        let mut two = [0; 24];
        two[0] = 2;
        assert_eq!(ask(SIOCGIFNAME, "", two).unwrap()[..NAME], padded("eth0"));
        assert_eq!(ask(SIOCGIFNAME, "", [9; 24]), Err(Errno::ENODEV));
    }

    #[test]
    fn the_list_is_as_long_as_there_is_room() {
        let memory = thread().memory();
        let at = room(&memory, 4096) as u64;
        for (bytes, buffer, expected) in
            [(4000, at + 64, 80), (79, at + 64, 40), (0, at + 64, 0), (0, 0, 80)]
        {
            memory.put(at, &bytes).unwrap();
            memory.put(at + 8, &buffer).unwrap();
            ioctl(&memory, &interfaces(), SIOCGIFCONF, at).unwrap();
            assert_eq!(memory.get::<i32>(at).unwrap(), expected);
        }
        assert_eq!(memory.get::<[u8; NAME]>(at + 64).unwrap(), padded("lo"));
    }
}
