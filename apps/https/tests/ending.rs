//! What the two servers do when their process is asked to end.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use embedded_io_async::{Read as _, Write as _};
use https::Args;
use std::cell::Cell;
use std::rc::Rc;
use xenith::block::memory::Memory;
use xenith::ip::config::Ipv4;
use xenith::ip::{Settings, Stack, Tcp as _};
use xenith::net::cable::{Options, cable};
use xenith::task::{block_on, spawn};
use xenith::time::{sleep, timeout};
use xenith::tls::{Client, ClientOptions, Trust};

/// More than is under way where nobody reads.
const LENGTH: usize = 1 << 20;

/// A tar archive of these files (POSIX.1, ustar).
fn archive(files: &[(&str, &[u8])]) -> Memory {
    let mut all = Vec::new();
    for (name, content) in files {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().copied().map(u32::from).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        all.extend_from_slice(&header);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    Memory::from_bytes(512, all)
}

fn stack(end: xenith::net::cable::End, last: u8) -> Stack<xenith::net::cable::End> {
    let ipv4 = Ipv4::Static(Ipv4Addr::new(10, 0, 0, last), 24);
    Stack::start(end, Settings { ipv4, ..Settings::default() }).unwrap()
}

#[test]
fn a_file_under_way_is_sent_to_its_end_though_nobody_is_redirected() {
    let args = Args {
        port: 443,
        plain: 80,
        cache: 64,
        max_age: 0,
        hidden: false,
        hsts: true,
        tls12: false,
        reload: 60,
        connections: 8,
        idle: 30,
    };
    let keys = archive(&[
        ("cert.pem", include_bytes!("../../../tests/tls/server.pem")),
        ("key.pem", include_bytes!("../../../tests/tls/server.key")),
    ]);
    let trust = Trust::pem(include_bytes!("../../../tests/tls/ca.pem")).unwrap();
    let trusting = ClientOptions::new(trust).build().unwrap();
    let site = archive(&[("file", &[b'x'; LENGTH])]);
    block_on(async {
        let (a, b) = cable(Options::default());
        let (server, client) = (stack(a, 1), Client::new(stack(b, 2), trusting));
        let ended = Rc::new(Cell::new(false));
        let serving = spawn({
            let ended = Rc::clone(&ended);
            async move {
                let result = https::start(server, site, keys, args).await;
                ended.set(true);
                result
            }
        });
        sleep(Duration::from_millis(100)).await;
        let to = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 443));
        let mut stream = client.secure("www.lab", to).await.unwrap();
        stream.write_all(b"GET /file HTTP/1.1\r\nHost: www.lab\r\n\r\n").await.unwrap();
        let (mut come, mut buffer) = (0, vec![0; 16 << 10]);
        come += stream.read(&mut buffer).await.unwrap();

        let me = std::process::id().to_string();
        let told = std::process::Command::new("kill").args(["-TERM", &me]).status();
        assert!(told.unwrap().success());
        // The other port is closed as soon as that is heard.
        let plain = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 80));
        while client.connect(plain).await.is_ok() {
            sleep(Duration::from_millis(10)).await;
        }
        sleep(Duration::from_millis(100)).await;
        loop {
            assert!(!ended.get(), "{come} bytes have come");
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                count => come += count,
            }
        }
        assert!(come > LENGTH, "{come}");
        drop(stream);
        assert_eq!(timeout(Duration::from_secs(60), serving).await.unwrap(), Ok(()));
    });
}
