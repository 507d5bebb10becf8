//! Tests what goes with a message: to whom, and by whom.

use super::*;
use crate::process::{Credentials, Ids};
use linux_raw_sys::net::{SO_PASSCRED, SO_TYPE};

#[test]
fn an_address_of_no_family_is_a_wrong_argument_to_a_unix_socket_alone() {
    let it = Program::new();
    for (family, errno) in [(AF_UNIX, Errno::EINVAL), (AF_INET, Errno::EAFNOSUPPORT)] {
        let fd = it.socket(family, SOCK_DGRAM);
        it.thread.memory().put(it.at, &[77_u16, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        let sent = it.call(Sysno::sendto, &[fd, it.buffer, 1, 0, it.at, 16]);
        assert_eq!(sent, Err(errno), "{family}");
        it.thread.memory().put(it.at + 64, &[it.at, 16, it.at + 128, 0, 0, 0, 0]).unwrap();
        assert_eq!(it.call(Sysno::sendmsg, &[fd, it.at + 64, 0]), Err(errno), "{family}");
    }
    assert_eq!(it.call(Sysno::sendto, &[99, it.buffer, 1, 0, it.at, 16]), Err(Errno::EBADF));
    let file = it.call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    assert_eq!(it.call(Sysno::sendmsg, &[file, 8, 0]), Err(Errno::ENOTSOCK));
}

#[test]
fn a_length_beyond_all_is_cut_off() {
    let it = Program::new();
    let [one, other] = it.pair(SOCK_DGRAM);
    assert_eq!(it.call(Sysno::sendto, &[one, it.buffer, u64::MAX, 0, 0, 0]), Err(Errno::EMSGSIZE));
    assert_eq!(it.call(Sysno::sendto, &[one, it.buffer, 3, 0, 0, 0]), Ok(3));
    assert_eq!(it.call(Sysno::recvfrom, &[other, it.buffer, u64::MAX, 0, 0, 0]), Ok(3));
}

#[test]
fn what_is_no_socket_is_judged_after_the_bytes_and_before_the_header() {
    let it = Program::new();
    let file = it.call(Sysno::epoll_create1, &[0]).unwrap() as u64;
    for (fd, errno) in [(99, Errno::EBADF), (file, Errno::ENOTSOCK)] {
        for number in [Sysno::sendmsg, Sysno::recvmsg] {
            assert_eq!(it.call(number, &[fd, 8, 0]), Err(errno), "{number}");
        }
        for number in [Sysno::sendmmsg, Sysno::recvmmsg] {
            assert_eq!(it.call(number, &[fd, 8, 1, 0, 0]), Err(errno), "{number}");
        }
        for number in [Sysno::sendto, Sysno::recvfrom] {
            assert_eq!(it.call(number, &[fd, 8, 1, 0, 0, 0]), Err(errno), "{number}");
            assert_eq!(it.call(number, &[fd, 1 << 63, 1, 0, 0, 0]), Err(Errno::EFAULT), "{number}");
        }
        assert_eq!(it.call(Sysno::recvmmsg, &[fd, 8, 1, 0, 8]), Err(Errno::EFAULT));
        assert_eq!(it.call(Sysno::setsockopt, &[fd, 1, 1, 8, u64::MAX]), Err(Errno::EINVAL));
        let first = if fd == 99 { errno } else { Errno::EFAULT };
        assert_eq!(it.call(Sysno::connect, &[fd, 8, 16]), Err(first));
        let first = if fd == 99 { errno } else { Errno::EINVAL };
        assert_eq!(it.call(Sysno::accept4, &[fd, 8, 8, 99]), Err(first));
    }
}

#[test]
fn a_unix_socket_has_no_options_of_other_levels() {
    let it = Program::new();
    for (family, errno) in [(AF_UNIX, Errno::EOPNOTSUPP), (AF_INET, Errno::ENOPROTOOPT)] {
        let fd = it.socket(family, SOCK_STREAM);
        it.thread.memory().put(it.at, &4_u32).unwrap();
        let get = |level: u32, name: u32| {
            it.call(Sysno::getsockopt, &[fd, level.into(), name.into(), it.at + 8, it.at])
        };
        assert_eq!(get(IPPROTO_TCP as u32, 99), Err(errno), "{family}");
        assert_eq!(get(SOL_SOCKET, 99), Err(Errno::ENOPROTOOPT), "{family}");
        assert_eq!(get(SOL_SOCKET, SO_TYPE), Ok(0), "{family}");
    }
}

#[test]
fn a_process_tells_any_of_its_own_ids_and_is_told_by_its_real_ones() {
    const SCM_CREDENTIALS: u64 = 2;
    let it = Program::new();
    let (memory, process) = (it.thread.memory(), &it.thread.process);
    let [one, other] = it.pair(SOCK_DGRAM);
    it.set(other, SO_PASSCRED, &1_u32.to_ne_bytes()).unwrap();
    let header = [it.at + 64, 0, 0, it.at + 128, 32, 0_u64];
    // A message of no bytes, and who came with the one that is received.
    let send = |told: Option<[u32; 3]>, length: u64| {
        let [id, user, group] = told.unwrap_or_default();
        memory.put(it.at + 128, &[length, SCM_CREDENTIALS << 32 | u64::from(SOL_SOCKET)]).unwrap();
        memory.put(it.at + 144, &[id, user, group, 0]).unwrap();
        memory.put(it.at + 8, &header).unwrap();
        memory.put(it.at, &0_u64).unwrap();
        let length = if told.is_some() { 32_u64 } else { 0 };
        memory.put(it.at + 40, &length).unwrap();
        it.call(Sysno::sendmsg, &[one, it.at, 0])?;
        memory.put(it.at + 40, &32_u64).unwrap();
        it.call(Sysno::recvmsg, &[other, it.at, MSG_DONTWAIT.into()])?;
        Ok::<[u32; 3], Errno>(memory.get(it.at + 144).unwrap())
    };
    let groups = Rc::clone(&process.credentials.borrow().groups);
    let ids = |at: u32| Ids { real: at, effective: at + 1, saved: at + 2, files: at + 3 };
    process.credentials.replace(Credentials { user: ids(10), group: ids(20), groups });
    assert_eq!(send(None, 28), Ok([1, 10, 20]));
    for (user, group) in [(10, 20), (11, 21), (12, 22), (10, 22)] {
        assert_eq!(send(Some([1, user, group]), 28), Ok([1, user, group]));
    }
    for told in [[1, 13, 20], [1, 10, 23], [1, 0, 20], [2, 10, 20]] {
        assert_eq!(send(Some(told), 28), Err(Errno::EPERM), "{told:?}");
    }
    assert_eq!(send(Some([1, 10, 20]), 32), Err(Errno::EINVAL), "of another length");
    process.credentials.borrow_mut().user.effective = 0;
    assert_eq!(send(Some([1, 99, 98]), 28), Ok([1, 99, 98]));
    assert_eq!(send(Some([1, u32::MAX, 98]), 28), Err(Errno::EINVAL), "nobody");
    assert_eq!(send(Some([9, 99, 98]), 28), Err(Errno::ESRCH));
}

#[test]
fn a_message_is_lost_where_nobody_can_be_told_who_sent_it() {
    let it = Program::new();
    let memory = it.thread.memory();
    let (length, room, header, wrong) = (it.at + 256, it.at + 260, it.at + 320, 8);
    memory.put(it.at + 400, &[it.buffer, 5]).unwrap();
    let header_of = |name: u64, control: u64| {
        memory.put(header, &[name, 16, it.at + 400, 1, control, 64, 0]).unwrap();
    };
    let cases = [
        ("an address", Sysno::recvfrom, [wrong, length], 16, Errno::EFAULT),
        ("a length", Sysno::recvfrom, [room, wrong], 16, Errno::EFAULT),
        ("a length below zero", Sysno::recvfrom, [room, length], -1, Errno::EINVAL),
        ("a name", Sysno::recvmsg, [wrong, 0], 16, Errno::EFAULT),
    ];
    let datagrams = it.socket(AF_INET, SOCK_DGRAM);
    it.with(Sysno::bind, datagrams, "127.0.0.1:5000").unwrap();
    let listener = it.listener("127.0.0.1:5001", 5);
    let client = it.socket(AF_INET, SOCK_STREAM);
    it.with(Sysno::connect, client, "127.0.0.1:5001").unwrap();
    let served = it.accept(listener).unwrap();
    for (what, number, [from, at], size, errno) in cases {
        header_of(from, 0);
        memory.put(length, &size).unwrap();
        let arguments = |fd: u64, flags: u32| match number {
            Sysno::recvmsg => [fd, header, flags.into(), 0, 0, 0],
            _ => [fd, it.buffer + 64, 5, flags.into(), from, at],
        };
        let put = || {
            let to = Address::Inet("127.0.0.1:5000".parse().unwrap()).bytes();
            memory.write(it.at as usize, &to).unwrap();
            memory.write(it.buffer as usize, b"bytes").unwrap();
        };
        put();
        let sends = [datagrams, it.buffer, 5, 0, it.at, 16];
        it.call(Sysno::sendto, &sends).unwrap();
        assert_eq!(it.call(number, &arguments(datagrams, 0)), Err(errno), "{what} of a datagram");
        let waits = (number, &arguments(datagrams, 0)[..]);
        put();
        assert_eq!(
            it.during(waits, (Sysno::sendto, &sends)),
            Err(errno),
            "{what} that is waited for"
        );
        assert_eq!(it.received(datagrams, 9, MSG_DONTWAIT), Err(Errno::EAGAIN), "{what}");
        // A stream names nobody, but says so where there is room for an address.
        if what == "a length" {
            it.write(client, b"bytes").unwrap();
            assert_eq!(it.call(number, &arguments(served, 0)), Err(errno));
            assert_eq!(it.received(served, 9, MSG_DONTWAIT), Err(Errno::EAGAIN));
        }
    }
}

#[test]
fn who_hears_nothing_of_the_network_does_not_listen_there() {
    let it = Program::new();
    kernel::testing::simulate_memory(1 << 22);
    let others = [it.listener("127.0.0.1:80", 5), it.socket(AF_INET, SOCK_DGRAM)];
    it.with(Sysno::bind, others[1], "127.0.0.1:80").unwrap();
    let [stream, datagrams] = [SOCK_STREAM, SOCK_DGRAM].map(|style| it.socket(AF_INET, style));
    it.with(Sysno::bind, stream, "10.0.0.1:80").unwrap();
    for port in ["80", "81"] {
        let address = std::format!("10.0.0.1:{port}");
        kernel::testing::simulate_memory_use(1 << 22);
        let bound = it.with(Sysno::bind, datagrams, &address);
        assert_eq!((port, bound), (port, Err(Errno::ENOBUFS)));
        assert_eq!(it.call(Sysno::listen, &[stream, 5]), Err(Errno::ENOBUFS));
        kernel::testing::simulate_memory_use(0);
    }
    it.with(Sysno::bind, datagrams, "10.0.0.1:80").unwrap();
    assert_eq!(it.call(Sysno::listen, &[stream, 5]), Ok(0));
}
