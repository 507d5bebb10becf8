//! How connections end, and what is told of it.

use super::*;

#[test]
fn lingering_for_no_time_resets() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        let linger = [1_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
        client.set_option(SOL_SOCKET, SO_LINGER, &linger).unwrap();
        drop(client);
        assert_eq!(receive(&*served, 9).await, Err(Errno::ECONNRESET));
        assert_eq!(receive(&*served, 9).await.unwrap(), b"", "it is told once");
    });
}

#[test]
fn what_comes_behind_what_was_not_read_is_a_change() {
    let [here, there] = machines();
    block_on(async {
        let (server, client) = (listener(&there, AF_INET, "0.0.0.0:80"), stream(&here, AF_INET));
        connect(&*client, "10.0.0.2:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        send(&*client, b"first").await.unwrap();
        kernel::time::sleep(Duration::from_secs(1)).await;
        let changes = async |what: &str| {
            let ready = served.ready();
            let changes = served.watch().changes();
            match what {
                "more" => drop(send(&*client, b"more").await),
                "end" => client.shutdown(false, true).unwrap(),
                _ => {}
            }
            kernel::time::sleep(Duration::from_secs(1)).await;
            (ready.contains(Ready::RDHUP), served.watch().changes() > changes)
        };
        assert_eq!(changes("nothing").await, (false, false));
        assert_eq!(changes("more").await, (false, true));
        assert_eq!(changes("end").await, (false, true));
        assert_eq!(changes("nothing").await, (true, false));
    });
}

#[test]
fn a_reset_is_told_once_by_whoever_asks_first() {
    let [here, there] = machines();
    block_on(async {
        let (server, ended) = (listener(&there, AF_INET, "0.0.0.0:80"), Ready::HUP | Ready::RDHUP);
        for first in ["SO_ERROR", "receive", "send"] {
            let client = stream(&here, AF_INET);
            connect(&*client, "10.0.0.2:80").await.unwrap();
            let (served, _) = until(&*server, || server.accept()).await.unwrap();
            assert!(!served.ready().intersects(ended | Ready::ERR));
            send(&*client, b"last").await.unwrap();
            kernel::time::sleep(Duration::from_secs(1)).await;
            let linger = [1_u32.to_ne_bytes(), 0_u32.to_ne_bytes()].concat();
            client.set_option(SOL_SOCKET, SO_LINGER, &linger).unwrap();
            drop(client);
            kernel::time::sleep(Duration::from_secs(1)).await;
            // Though it was not read yet what came before.
            assert!(served.ready().contains(Ready::IN | Ready::OUT | Ready::ERR | ended));
            let error = || error(&*served);
            let reset = Errno::ECONNRESET;
            match first {
                "SO_ERROR" => assert_eq!(error(), reset.number().into()),
                "send" => assert_eq!(send(&*served, b"x").await, Err(reset)),
                _ => {}
            }
            assert_eq!(receive(&*served, 9).await.unwrap(), b"last");
            if first == "receive" {
                assert_eq!(receive(&*served, 9).await, Err(reset));
            }
            assert_eq!(receive(&*served, 9).await.unwrap(), b"", "after {first}");
            assert_eq!((send(&*served, b"x").await, error()), (Err(Errno::EPIPE), 0));
            assert!(served.ready().contains(ended) && !served.ready().contains(Ready::ERR));
        }
    });
}

#[test]
fn a_reset_behind_the_end_of_the_peer_is_a_broken_pipe() {
    let [here, there] = machines();
    block_on(async {
        let server = listener(&there, AF_INET, "0.0.0.0:80");
        for (first, ends) in [("SO_ERROR", false), ("send", false), ("", true)] {
            let client = stream(&here, AF_INET);
            connect(&*client, "10.0.0.2:80").await.unwrap();
            let (served, _) = until(&*server, || server.accept()).await.unwrap();
            client.shutdown(false, true).unwrap();
            assert_eq!(receive(&*served, 9).await.unwrap(), b"");
            assert!(!served.ready().intersects(Ready::HUP | Ready::ERR));
            let no_time = [1_u32.to_ne_bytes(), [0; 4]].concat();
            client.set_option(SOL_SOCKET, SO_LINGER, &no_time).unwrap();
            drop(client);
            kernel::time::sleep(Duration::from_secs(1)).await;
            if ends {
                assert_eq!(served.shutdown(false, true), Err(Errno::ENOTCONN), "it is over");
            } else {
                assert!(served.ready().contains(Ready::IN | Ready::OUT | Ready::HUP | Ready::ERR));
            }
            // Who reads has all that came, and the error stays.
            assert_eq!(receive(&*served, 9).await.unwrap(), b"");
            match first {
                "SO_ERROR" => assert_eq!(error(&*served), Errno::EPIPE.number().into()),
                "send" => assert_eq!(send(&*served, b"x").await, Err(Errno::EPIPE)),
                _ => {}
            }
            assert_eq!(error(&*served), 0, "{first}");
            assert_eq!(send(&*served, b"x").await, Err(Errno::EPIPE));
            assert!(served.ready().contains(Ready::HUP) && !served.ready().contains(Ready::ERR));
        }
    });
}

#[test]
fn a_peer_that_was_silent_for_too_long_is_a_timeout_told_once() {
    for first in ["SO_ERROR", "receive", "send"] {
        let ([here, there], cable) = machines_and_cable();
        block_on(async {
            let server = listener(&there, AF_INET, "0.0.0.0:80");
            let client = stream(&here, AF_INET);
            connect(&*client, "10.0.0.2:80").await.unwrap();
            let (served, _) = until(&*server, || server.accept()).await.unwrap();
            let limit = 5000_u32.to_ne_bytes();
            served.set_option(IPPROTO_TCP as u32, TCP_USER_TIMEOUT, &limit).unwrap();
            cable.set_link(false);
            send(&*served, b"lost").await.unwrap();
            let late = Errno::ETIMEDOUT;
            if first == "receive" {
                assert_eq!(receive(&*served, 9).await, Err(late), "it waits");
            } else {
                kernel::time::sleep(Duration::from_secs(60)).await;
                assert!(served.ready().contains(Ready::IN | Ready::OUT | Ready::HUP | Ready::ERR));
            }
            match first {
                "SO_ERROR" => assert_eq!(error(&*served), late.number().into()),
                "send" => assert_eq!(send(&*served, b"x").await, Err(late)),
                _ => {}
            }
            assert_eq!(receive(&*served, 9).await.unwrap(), b"", "after {first}");
            assert_eq!((send(&*served, b"x").await, error(&*served)), (Err(Errno::EPIPE), 0));
            assert!(served.ready().contains(Ready::HUP) && !served.ready().contains(Ready::ERR));
        });
    }
}

/// The state that `TCP_INFO` tells of.
fn state(socket: &dyn Socket) -> u8 {
    socket.option(IPPROTO_TCP as u32, TCP_INFO).unwrap()[0]
}

#[test]
fn states_within_the_machine_are_those_of_linux() {
    let [here, _there] = machines();
    block_on(async {
        let server = listener(&here, AF_INET, "0.0.0.0:80");
        assert_eq!(state(&*server), 10);
        let no_time = [1_u32.to_ne_bytes(), [0; 4]].concat();
        for (client_ends, server_ends, resets, expected, cause) in [
            (false, false, false, 8, 0),
            (true, false, false, 8, 0),
            (false, true, false, 7, 0),
            (true, true, false, 7, 0),
            (false, false, true, 7, Errno::ECONNRESET.number().into()),
            (false, true, true, 7, Errno::ECONNRESET.number().into()),
            (true, false, true, 7, Errno::EPIPE.number().into()),
            // What is over on both sides is reset by nothing.
            (true, true, true, 7, 0),
        ] {
            let client = stream(&here, AF_INET);
            assert_eq!(state(&*client), 7);
            connect(&*client, "127.0.0.1:80").await.unwrap();
            let (served, _) = until(&*server, || server.accept()).await.unwrap();
            assert_eq!((state(&*client), state(&*served)), (1, 1));
            if client_ends {
                client.shutdown(false, true).unwrap();
                assert_eq!((state(&*client), state(&*served)), (5, 8));
            }
            if server_ends {
                served.shutdown(false, true).unwrap();
                let both = if client_ends { 7 } else { 5 };
                assert_eq!(state(&*served), both);
            }
            if resets {
                client.set_option(SOL_SOCKET, SO_LINGER, &no_time).unwrap();
            }
            drop(client);
            assert_eq!(state(&*served), expected, "{client_ends} {server_ends} {resets}");
            assert_eq!(served.peer().is_err(), expected == 7);
            assert_eq!(error(&*served), cause, "{client_ends} {server_ends} {resets}");
            assert_eq!((error(&*served), state(&*served)), (0, expected));
            assert_eq!(receive(&*served, 9).await.unwrap(), b"");
            let over = if expected == 7 { Err(Errno::ENOTCONN) } else { Ok(()) };
            assert_eq!(served.shutdown(true, false), over);
        }
    });
}

#[test]
fn what_is_sent_behind_the_end_of_a_peer_within_the_machine_is_a_broken_pipe_told_once() {
    let [here, _there] = machines();
    block_on(async {
        let server = listener(&here, AF_INET, "0.0.0.0:80");
        let client = stream(&here, AF_INET);
        connect(&*client, "127.0.0.1:80").await.unwrap();
        let (served, _) = until(&*server, || server.accept()).await.unwrap();
        drop(client);
        assert_eq!(send(&*served, b"lost").await, Ok(4));
        assert_eq!(receive(&*served, 9).await.unwrap(), b"", "which tells nothing");
        assert!(served.ready().contains(Ready::ERR | Ready::HUP));
        assert_eq!(error(&*served), Errno::EPIPE.number().into());
        assert_eq!((error(&*served), state(&*served)), (0, 7));
        assert_eq!(send(&*served, b"x").await, Err(Errno::EPIPE));
    });
}
