//! Many tasks that wait for one connection or listener, calls that do not wait, and what there
//! is to set and to ask.

use super::*;
use crate::TcpOptions;
use core::cell::Cell;
use core::future::poll_fn;
use core::task::{Context, Poll};
use kernel::task::Task;
use std::rc::Rc;

/// Lets three tasks wait for `poll`; how many have not waited in vain.
async fn three<T: 'static>(
    of: &Rc<T>,
    poll: fn(&T, &mut Context<'_>) -> Poll<Result<(), Error>>,
) -> (Rc<Cell<usize>>, [Task<Result<(), Error>>; 3]) {
    let awake = Rc::new(Cell::new(0));
    let tasks = [(); 3].map(|()| {
        let (of, awake) = (Rc::clone(of), Rc::clone(&awake));
        spawn(async move {
            let ready = poll_fn(|context| poll(&of, context)).await;
            awake.set(awake.get() + 1);
            ready
        })
    });
    sleep(SECOND / 50).await;
    (awake, tasks)
}

/// Waits for all three: what they got, which is the same.
async fn all(tasks: [Task<Result<(), Error>>; 3]) -> Result<(), Error> {
    let mut got = Vec::new();
    for task in tasks {
        got.push(timeout(SECOND * 5, task).await.expect("all are woken"));
    }
    assert!(got.iter().all(|it| *it == got[0]), "{got:?}");
    got[0]
}

/// Writes until there is no room for more; how much that was.
async fn fill(stream: &impl Stream) -> usize {
    let (bytes, mut count, mut full) = (pattern(64 << 10), 0, 0);
    while full < 5 {
        match stream.try_write(&bytes).unwrap() {
            Some(more) => (count, full) = (count + more, 0),
            // It may go on to the peer.
            None => full += 1,
        }
        sleep(SECOND / 50).await;
    }
    count
}

impl<I: Tcp + Udp + Ping + Resolve + Clone + 'static> Site<I> {
    pub(super) async fn all_who_wait_to_read_are_woken(self) {
        for act in 0..4 {
            let (one, mut other) = self.connected().await;
            let one = Rc::new(one);
            let (awake, tasks) = three(&one, I::Stream::poll_readable).await;
            let mut bytes = [0; 9];
            assert_eq!((one.try_read(&mut bytes), one.try_peek(&mut bytes)), (Ok(None), Ok(None)));
            assert_eq!((awake.get(), one.progress()), (0, Progress::default()));
            match act {
                0 => other.write_all(b"some").await.unwrap(),
                1 => other.shutdown().await.unwrap(),
                2 => other.abort(),
                _ => one.abort(),
            }
            let ready = all(tasks).await;
            assert_eq!(ready, if act < 3 { Ok(()) } else { Err(Error::Closed) });
            let (peeked, progress) = (one.try_peek(&mut bytes), one.progress());
            match act {
                0 => {
                    assert_eq!((peeked, &bytes[..4]), (Ok(Some(4)), &b"some"[..]));
                    assert_eq!((progress.readable, progress.ended), (4, false));
                    assert_eq!(one.try_read(&mut bytes[..3]), Ok(Some(3)));
                    assert_eq!(one.try_peek(&mut bytes), Ok(Some(1)));
                    assert_eq!((one.try_read(&mut bytes), bytes[0]), (Ok(Some(1)), b'e'));
                    assert_eq!(one.try_read(&mut bytes), Ok(None));
                }
                1 => {
                    assert_eq!((peeked, one.try_read(&mut bytes)), (Ok(Some(0)), Ok(Some(0))));
                    assert!(progress.finished);
                    assert_eq!((progress.ended, one.try_write(b"x")), (true, Ok(Some(1))));
                }
                2 => {
                    let reset = Err(Error::Reset);
                    assert_eq!((peeked, one.try_read(&mut bytes)), (reset, reset));
                    assert!(one.progress().ended && !one.progress().finished);
                }
                _ => {
                    let closed = Err(Error::Closed);
                    assert_eq!((peeked, one.try_read(&mut bytes)), (closed, closed));
                    assert_eq!(other.read(&mut bytes).await, Err(Error::Reset));
                }
            }
        }
    }

    pub(super) async fn all_who_wait_to_write_are_woken(self) {
        for act in 0..4 {
            let (one, mut other) = self.connected().await;
            let one = Rc::new(one);
            assert!(poll_fn(|context| one.poll_writable(context)).await.is_ok());
            let written = fill(&*one).await;
            assert!((1..=written).contains(&one.progress().unacknowledged));
            let (awake, tasks) = three(&one, I::Stream::poll_writable).await;
            assert_eq!(awake.get(), 0);
            match act {
                0 => other.read_exact(&mut std::vec![0; written]).await.unwrap(),
                1 => one.shutdown().await.unwrap(),
                2 => other.abort(),
                _ => one.abort(),
            }
            let ready = all(tasks).await;
            assert_eq!(ready, if act % 2 == 0 { Ok(()) } else { Err(Error::Closed) });
            let more = one.try_write(b"more");
            match act {
                0 => {
                    assert_eq!(more, Ok(Some(4)));
                    other.read_exact(&mut [0; 4]).await.unwrap();
                    let acknowledged = async {
                        while one.progress().unacknowledged > 0 {
                            sleep(SECOND / 100).await;
                        }
                    };
                    timeout(SECOND * 5, acknowledged).await.unwrap();
                }
                2 => assert_eq!(more, Err(Error::Reset)),
                _ => assert_eq!(more, Err(Error::Closed)),
            }
        }
    }

    pub(super) async fn all_who_wait_to_accept_are_woken_and_one_gets_it(self) {
        let listener = Rc::new(Tcp::bind(&self.there, any(0)).await.unwrap());
        let to = self.at(listener.local_addr().port());
        for _ in 0..2 {
            let (awake, tasks) = three(&listener, I::Listener::poll_acceptable).await;
            assert_eq!((awake.get(), listener.try_accept().unwrap().is_none()), (0, true));
            let one = self.here.connect(to).await.unwrap();
            assert_eq!(all(tasks).await, Ok(()));
            let (_, peer) = listener.try_accept().unwrap().expect("it waits");
            assert_eq!(peer, one.local_addr());
            assert!(listener.try_accept().unwrap().is_none());
        }
    }

    pub(super) async fn a_connection_that_begins_is_open_when_it_can_be_written(self) {
        let listener = Tcp::bind(&self.there, any(0)).await.unwrap();
        let to = self.at(listener.local_addr().port());
        let mut one = self.here.open(any(0), to).unwrap();
        assert_eq!(one.peer_addr(), to);
        // What waits does so until it is open.
        let (written, accepted) = join(one.write_all(b"early"), listener.accept()).await;
        let (mut other, peer) = accepted.unwrap();
        written.unwrap();
        assert_eq!(peer, one.local_addr());
        let mut early = [0; 5];
        other.read_exact(&mut early).await.unwrap();
        assert_eq!((early, one.try_read(&mut [0])), (*b"early", Ok(None)));
        assert_eq!(poll_fn(|context| one.poll_writable(context)).await, Ok(()));
        // Nobody answers, and then somebody refuses.
        drop(listener);
        let one = Rc::new(self.here.open(any(0), to).unwrap());
        let (_, tasks) = three(&one, I::Stream::poll_writable).await;
        let refused = Err(Error::Refused);
        assert_eq!(all(tasks).await, refused);
        assert_eq!(poll_fn(|context| one.poll_readable(context)).await, refused);
        assert_eq!(
            (one.try_read(&mut [0]), one.try_write(b"x")),
            (refused.map(|()| None), Err(Error::Refused))
        );
    }

    pub(super) async fn a_connection_begins_from_the_port_that_is_said(self) {
        let listeners = [
            Tcp::bind(&self.there, any(0)).await.unwrap(),
            Tcp::bind(&self.there, any(0)).await.unwrap(),
        ];
        let [first, second] = [0, 1].map(|at: usize| self.at(listeners[at].local_addr().port()));
        let port = self.here.connect(first).await.unwrap().local_addr().port();
        let open = |to| self.here.open(any(port), to);
        let one = open(second).unwrap();
        assert_eq!((one.local_addr().port(), one.local_addr().ip()), (port, one.local_addr().ip()));
        assert_eq!(poll_fn(|context| one.poll_writable(context)).await, Ok(()));
        assert_eq!(listeners[1].accept().await.unwrap().1, one.local_addr());
        assert_eq!(open(second).err(), Some(Error::InUse(port)), "between the same two");
        let listener = Tcp::bind(&self.here, any(0)).await.unwrap();
        let taken = any(listener.local_addr().port());
        assert_eq!(self.here.open(taken, first).err(), Some(Error::InUse(taken.port())));
        let away = match self.address {
            IpAddr::V4(_) => ["192.0.2.7:0", "[::1]:0"],
            IpAddr::V6(_) => ["[2001:db8::7]:0", "127.0.0.1:0"],
        };
        let [other, version] = away.map(|from| self.here.open(from.parse().unwrap(), first).err());
        assert_eq!(other, Some(Error::AddrNotAvailable));
        assert!(matches!(version, Some(Error::Unreachable | Error::AddrNotAvailable)));
    }

    pub(super) async fn options_are_what_they_were_set_to(self) {
        let (one, _other) = self.connected().await;
        assert_eq!(one.options(), TcpOptions::default());
        let (keep_alive, user_timeout) = (Some(SECOND * 90), Some(SECOND * 20));
        for no_delay in [false, true] {
            let options = TcpOptions { no_delay, keep_alive, user_timeout };
            assert_eq!(one.set_options(options), Ok(()));
            assert_eq!(one.options(), options);
        }
        assert_eq!(one.set_options(TcpOptions::default()), Ok(()));
        assert_eq!(one.options(), TcpOptions::default());
        one.abort();
        assert_eq!(one.set_options(TcpOptions::default()), Err(Error::Closed));
    }

    pub(super) async fn giving_up_on_a_read_loses_nothing(self) {
        let (mut one, mut other) = self.connected().await;
        for n in 0..3 {
            assert!(timeout(SECOND / 50, one.read(&mut [0])).await.is_err());
            other.write_all(&[n]).await.unwrap();
            let mut got = [9];
            assert_eq!((one.read(&mut got).await, got), (Ok(1), [n]));
        }
    }
}
