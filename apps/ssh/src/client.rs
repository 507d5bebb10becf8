//! A client that logs in, for tests on a host.

use crate::keys;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use embedded_io_async::{Read, Write};
use sunset::{ChanData, ChanHandle, CliEvent, Event, Runner};
use xenith::time::timeout;

/// Its private key, of RFC 8410, section 10.3, and the line by which it may log in.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
pub(crate) const PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBm/RAlphM3+hUG6wWfcO5bIUIaqMLa2ywxcOK1wMWbh";

/// What it asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asks {
    /// This command.
    Command(&'static str),
    /// A shell that is not at a terminal.
    Shell,
}

/// A client over a stream.
pub(crate) struct Client<S> {
    runner: Runner<'static, sunset::Client>,
    pub(crate) stream: S,
    channel: Option<ChanHandle>,
    asks: Asks,
    asked: bool,
    /// What came and waits.
    held: Vec<u8>,
    /// Whether the other side has ended the connection.
    pub(crate) over: bool,
}

impl<S: Read + Write> Client<S> {
    /// Logs in, and asks.
    pub(crate) async fn new(stream: S, asks: Asks) -> Self {
        let buffer = || Vec::leak(alloc::vec![0; 4096]);
        let runner = Runner::new_client(buffer(), buffer());
        let (asked, held, over) = (false, Vec::new(), false);
        let mut client = Self { runner, stream, channel: None, asks, asked, held, over };
        while !client.asked {
            client.progress();
            client.flush().await;
            if !client.asked {
                client.hear().await;
                assert!(!client.over, "it is let in");
            }
        }
        client.flush().await;
        client
    }

    fn progress(&mut self) {
        let mut open = false;
        loop {
            match self.runner.progress().unwrap() {
                Event::Cli(CliEvent::Hostkey(key)) => key.accept().unwrap(),
                Event::Cli(CliEvent::Username(name)) => name.username("me").unwrap(),
                Event::Cli(CliEvent::Pubkey(ask)) => {
                    ask.pubkey(keys::host(Some(PRIVATE)).unwrap().0).unwrap();
                }
                Event::Cli(CliEvent::Password(ask)) => ask.skip().unwrap(),
                Event::Cli(CliEvent::Authenticated) => open = true,
                Event::Cli(CliEvent::SessionOpened(mut session)) => {
                    match self.asks {
                        Asks::Command(text) => session.exec(text).unwrap(),
                        Asks::Shell => session.shell().unwrap(),
                    }
                    self.asked = true;
                }
                Event::None => break,
                _ => {}
            }
            if core::mem::take(&mut open) {
                self.channel = Some(self.runner.open_client_session().unwrap());
            }
        }
    }

    async fn flush(&mut self) {
        while !self.runner.output_buf().is_empty() {
            match self.stream.write(self.runner.output_buf()).await {
                Ok(count) => self.runner.consume_output(count),
                Err(_) => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    /// Takes what comes.
    async fn hear(&mut self) {
        let mut piece = [0; 256];
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.over |= count == 0;
        self.held.extend(&piece[..count]);
        self.feed().await;
    }

    /// Gives the protocol what came, until something is to be read first.
    async fn feed(&mut self) {
        while !self.held.is_empty() && self.runner.read_channel_ready().is_none() {
            let taken = self.runner.input(&self.held).unwrap();
            self.held.drain(..taken);
            self.progress();
            self.flush().await;
        }
    }

    /// Says something, which has to fit into the other side's window.
    pub(crate) async fn say(&mut self, text: &[u8]) {
        let channel = self.channel.as_ref().unwrap();
        let count = self.runner.write_channel(channel, ChanData::Normal, text).unwrap();
        assert_eq!(count, text.len());
        self.flush().await;
    }

    /// Reads until the connection ends or nothing comes for some time, with a pause before each
    /// piece.
    pub(crate) async fn read(&mut self, pause: Duration, quiet: Duration) -> String {
        let (mut said, mut piece) = (Vec::new(), [0; 256]);
        while !self.over {
            if self.runner.read_channel_ready().is_some() {
                xenith::time::sleep(pause).await;
                let channel = self.channel.as_ref().unwrap();
                let count = self.runner.read_channel(channel, ChanData::Normal, &mut piece);
                said.extend(&piece[..count.unwrap()]);
                self.flush().await;
                self.progress();
                self.flush().await;
                self.feed().await;
            } else if timeout(quiet, self.hear()).await.is_err() {
                break;
            }
        }
        String::from_utf8(said).unwrap()
    }
}
