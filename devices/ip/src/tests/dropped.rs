//! Streams that are dropped where peers do not help them to their end.

use super::*;
use embedded_io_async::Write;
use kernel::task::join;
use kernel::time::{sleep, timeout};

#[test]
fn those_that_were_dropped_never_hold_more_than_a_quarter_of_few_t3() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let limits = Limits { connections: 8, ..settings(2).limits };
        let server = Stack::start(right, Settings { limits, ..settings(2) }).unwrap();
        let (client, to) = (stack(left, 1), SocketAddr::new(B, 80));
        let listener = Tcp::bind(&server, any(80)).await.unwrap();
        let mut reads_nothing = Vec::new();
        for _ in 0..8 {
            let (one, other) = join(client.connect(to), listener.accept()).await;
            let mut other = other.unwrap().0;
            while timeout(SECOND, other.write(&[7; 1000])).await.is_ok() {}
            reads_nothing.push((one.unwrap(), other));
        }
        let clients: Vec<_> = reads_nothing.into_iter().map(|it| it.0).collect();
        sleep(SECOND).await;
        assert!(timeout(SECOND * 5, client.connect(to)).await.is_ok_and(|it| it.is_ok()));
        assert!(server.sockets() <= 8);
        drop(clients);
    });
}

#[test]
fn what_is_dropped_after_the_interface_broke_leaves_nothing_behind() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let (a, b) = (stack(left.clone(), 1), stack(right, 2));
        let listener = Tcp::bind(&b, any(80)).await.unwrap();
        let (one, _other) = join(a.connect(SocketAddr::new(B, 80)), listener.accept()).await;
        left.sever();
        sleep(SECOND).await;
        let weak = alloc::rc::Rc::downgrade(&a.shared);
        drop(one);
        drop(a);
        sleep(SECOND * 60).await;
        assert_eq!(weak.strong_count(), 0);
    });
}

#[test]
fn however_many_leave_all_of_them_are_gone_in_time_t3() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let limits = Limits { connections: 1200, ..settings(2).limits };
        let server = Stack::start(right, Settings { limits, ..settings(2) }).unwrap();
        let client = Stack::start(left.clone(), Settings { limits, ..settings(1) }).unwrap();
        let listener = Tcp::bind(&server, any(80)).await.unwrap();
        let mut ends = Vec::new();
        for _ in 0..290 {
            let (one, other) =
                join(client.connect(SocketAddr::new(B, 80)), listener.accept()).await;
            ends.push((one.unwrap(), other.unwrap().0));
        }
        let (clients, servers): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        // Their clients neither end nor go: all that were dropped stay, within their number.
        drop(servers);
        sleep(SECOND).await;
        assert_eq!((server.sockets(), server.stats().open), (290, 0));
        // Some end, wherever they stand among those that do not.
        let kept: Vec<_> = clients
            .into_iter()
            .enumerate()
            .filter_map(|(at, one)| (at % 3 > 0).then_some(one))
            .collect();
        sleep(SECOND).await;
        assert_eq!(server.sockets(), kept.len());
        sleep(SECOND * 45).await;
        assert_eq!(server.sockets(), 0);
        drop(kept);
    });
}

#[test]
fn who_is_reset_behind_many_that_wait_is_not_kept_t3() {
    kernel::testing::simulate_time();
    block_on(async {
        let (left, right) = cable(Options::default());
        let limits = Limits { connections: 1200, ..settings(2).limits };
        let server = Stack::start(right, Settings { limits, ..settings(2) }).unwrap();
        let client = Stack::start(left, Settings { limits, ..settings(1) }).unwrap();
        let listener = Tcp::bind(&server, any(80)).await.unwrap();
        let mut ends = Vec::new();
        for _ in 0..130 {
            let (one, other) =
                join(client.connect(SocketAddr::new(B, 80)), listener.accept()).await;
            ends.push((one.unwrap(), other.unwrap().0));
        }
        let (mut clients, mut servers): (Vec<_>, Vec<_>) = ends.into_iter().unzip();
        for one in &mut clients[100..] {
            one.write_all(b"unread").await.unwrap();
        }
        sleep(SECOND).await;
        let unread = servers.split_off(100);
        drop(servers);
        sleep(SECOND).await;
        drop(unread);
        sleep(SECOND).await;
        assert_eq!(server.sockets(), 100);
    });
}
