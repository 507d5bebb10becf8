//! A client of our own on a cable, in simulated time. The real one stands in `client.sh`.

extern crate std;

use super::*;
use core::net::{Ipv4Addr, SocketAddr};
use std::format;
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack};
use xenith::net::cable::{End, Options, cable};
use xenith::task::block_on;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

fn settings(address: Ipv4Addr) -> Settings {
    Settings { ipv4: Ipv4::Static(address, 24), ..Settings::default() }
}

async fn text<S: Stream>(control: &mut S, text: &str) {
    control.write_all(&(text.len() as u32).to_be_bytes()).await.unwrap();
    control.write_all(text.as_bytes()).await.unwrap();
}

async fn state<S: Stream>(control: &mut S) -> u8 {
    let mut state = [0];
    control.read_exact(&mut state).await.unwrap();
    state[0]
}

const PORT: SocketAddr = SocketAddr::new(core::net::IpAddr::V4(SERVER), 5201);

/// What clients on a cable with the server see of it.
fn with_server<T>(test: impl AsyncFnOnce(&Stack<End>) -> T) -> T {
    xenith::testing::simulate_time();
    let (left, right) = cable(Options::default());
    block_on(async {
        let server = Stack::start(left, settings(SERVER)).unwrap();
        let client = Stack::start(right, settings(Ipv4Addr::new(10, 0, 0, 2))).unwrap();
        let _server = spawn(async move { start(server, 5201).await });
        xenith::task::yield_now().await;
        test(&client).await
    })
}

/// Moves `bytes` in the way that `params` say; what the server answers.
fn client(params: &str, bytes: usize) -> Option<String> {
    with_server(async |client| moved(client, params, bytes).await)
}

async fn moved(client: &Stack<End>, params: &str, bytes: usize) -> Option<String> {
    let to = PORT;
    let mut control = client.connect(to).await.unwrap();
    control.write_all(&[7; COOKIE]).await.unwrap();
    assert_eq!(state(&mut control).await, 9);
    text(&mut control, params).await;
    if state(&mut control).await != 10 {
        return None;
    }
    let mut data = client.connect(to).await.unwrap();
    data.write_all(&[7; COOKIE]).await.unwrap();
    assert_eq!((state(&mut control).await, state(&mut control).await), (1, 2));
    if params.contains("reverse") {
        data.read_exact(&mut vec![0; bytes]).await.unwrap();
    } else {
        data.write_all(&vec![1; bytes]).await.unwrap();
    }
    control.write_all(&[4]).await.unwrap();
    if params.contains("reverse") {
        // iperf3 hears nothing else while it waits for the rest of a block.
        while data.read(&mut [0; 4096]).await.unwrap() > 0 {}
    }
    assert_eq!(state(&mut control).await, 13);
    text(&mut control, "{}").await;
    let results = read_text(&mut control).await.unwrap();
    assert_eq!(state(&mut control).await, 14);
    Some(String::from_utf8(results).unwrap())
}

use std::string::String;

#[test]
fn what_is_received_is_counted() {
    let results = client(r#"{"tcp":true,"time":1,"parallel":1,"len":131072,"x":"y"}"#, 300_000);
    let results = results.unwrap();
    assert!(results.contains(&format!("\"bytes\":{}", 300_000)), "{results}");
}

#[test]
fn it_sends_until_the_client_has_enough() {
    let results =
        client(r#"{"tcp":true,"reverse":true,"parallel":1,"len":9000}"#, 300_000).unwrap();
    let (_, rest) = results.split_once("\"bytes\":").unwrap();
    let sent: usize = rest.split(',').next().unwrap().parse().unwrap();
    assert!((300_000..3_000_000).contains(&sent), "{sent}");
}

#[test]
fn what_it_does_not_do_is_refused() {
    assert_eq!(client(r#"{"udp":true,"parallel":1}"#, 0), None);
    assert_eq!(client(r#"{"tcp":true,"bidirectional":1}"#, 0), None);
    assert_eq!(client("nonsense", 0), None);
}

#[test]
fn streams_are_numbered_as_iperf3_does() {
    let text = protocol::results(&[5, 6, 7], Duration::from_millis(1500));
    for part in ["\"id\":1,\"bytes\":5", "\"id\":3,\"bytes\":6", "\"id\":4,\"bytes\":7", "1.500000"]
    {
        assert!(text.contains(part), "{text}");
    }
}

const ONE: &str = r#"{"tcp":true,"parallel":1,"len":9000}"#;

#[test]
fn silent_connections_keep_no_client_waiting() {
    with_server(async |client| {
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(client.connect(PORT).await.unwrap());
        }
        let begun = Instant::now();
        assert!(moved(client, ONE, 300_000).await.is_some());
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    });
}

#[test]
fn a_test_in_which_nothing_moves_ends_for_the_next() {
    with_server(async |client| {
        let mut control = client.connect(PORT).await.unwrap();
        control.write_all(&[8; COOKIE]).await.unwrap();
        assert_eq!(state(&mut control).await, 9);
        text(&mut control, ONE).await;
        assert_eq!(state(&mut control).await, 10);
        let mut data = client.connect(PORT).await.unwrap();
        data.write_all(&[8; COOKIE]).await.unwrap();
        assert_eq!((state(&mut control).await, state(&mut control).await), (1, 2));
        let begun = Instant::now();
        assert!(moved(client, ONE, 300_000).await.is_some());
        let waited = begun.elapsed();
        assert!(waited >= IDLE - PATIENCE && waited < 2 * IDLE, "{waited:?}");
    });
}

#[test]
fn who_comes_while_streams_are_awaited_has_the_next_turn() {
    with_server(async |client| {
        let mut control = client.connect(PORT).await.unwrap();
        control.write_all(&[8; COOKIE]).await.unwrap();
        assert_eq!(state(&mut control).await, 9);
        text(&mut control, ONE).await;
        assert_eq!(state(&mut control).await, 10);
        let first = async {
            sleep(Duration::from_secs(5)).await;
            let mut data = client.connect(PORT).await.unwrap();
            data.write_all(&[8; COOKIE]).await.unwrap();
            assert_eq!((state(&mut control).await, state(&mut control).await), (1, 2));
            control.write_all(&[4]).await.unwrap();
            drop(data);
            assert_eq!(state(&mut control).await, 13);
            drop(control);
        };
        let (second, ()) = xenith::task::join(moved(client, ONE, 300_000), first).await;
        assert!(second.is_some());
    });
}
