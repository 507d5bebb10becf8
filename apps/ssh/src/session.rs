//! One connection: the protocol by `sunset`, between a stream and a shell.

use crate::keys::Public;
use crate::shell::{Commands, Next, Shell};
use crate::{Limits, Place};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use sunset::{ChanData, ChanHandle, Event, Runner, ServEvent, SignKey};
use xenith::ip::{self, Stream};
use xenith::time::{Instant, timeout};

/// Bytes of a packet of the client's, and of those that wait for it.
const BUFFER: usize = 4096;

/// Bytes that are read at a time.
const PIECE: usize = 1024;

/// Keys that a client may show in vain.
const TRIES: u32 = 6;

/// Bytes that a client may send before it has logged in. OpenSSH's sends some 5 000 with a key.
const UNKNOWN: usize = 64 << 10;

/// Bytes of answers that wait for a client while no further command of its is run.
const UNREAD: usize = 16 << 10;

/// Bytes of commands that may wait for that.
const AHEAD: usize = 8 << 10;

/// Time for a client to take the last answer.
const DRAIN: Duration = Duration::from_secs(30);

/// Time for a client to say that it is done as well.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Error {
    /// The network.
    Stream(ip::Error),
    /// What the client says is none of SSH, or not what it may say now.
    Protocol(sunset::Error),
    /// The client did not log in within the time, or has been silent for too long.
    Late,
    /// None of its keys may log in.
    Keys,
    /// It says more than a login takes.
    Long,
    /// A newer connection has taken its place.
    Lost,
    /// So many are logged in.
    Full,
    /// It does not read what it asked for.
    Unread,
    /// There is no memory for it.
    Memory,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Late => f.write_str("silent for too long"),
            Self::Keys => f.write_str("none of the keys may log in"),
            Self::Long => f.write_str("it says too much before it logs in"),
            Self::Lost => f.write_str("it has not logged in, and others wait"),
            Self::Full => f.write_str("too many are logged in"),
            Self::Unread => f.write_str("it does not read what it asked for"),
            Self::Memory => f.write_str("there is not enough memory"),
        }
    }
}

impl From<sunset::Error> for Error {
    fn from(error: sunset::Error) -> Self {
        Self::Protocol(error)
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) host: SignKey,
    pub(crate) authorized: Vec<Public>,
    pub(crate) commands: Commands,
    pub(crate) limits: Limits,
}

/// What a connection has come to.
struct State<'a> {
    shared: &'a Shared,
    place: &'a mut Place,
    /// Bytes that it has sent.
    heard: usize,
    /// When this has to be over, or the client has to say something.
    until: Instant,
    tries: u32,
    channel: Option<ChanHandle>,
    terminal: bool,
    shell: Option<Shell<'a>>,
    /// What was typed and not yet looked at.
    typed: VecDeque<u8>,
    /// What the client has not taken yet.
    out: Vec<u8>,
    /// A command that is to be run.
    command: Option<String>,
    next: Next,
}

/// How it came to an end.
pub(crate) struct End {
    /// Whether the app is to end.
    pub(crate) poweroff: bool,
    /// Until when what was said may be on its way.
    pub(crate) until: Instant,
    pub(crate) result: Result<(), Error>,
}

/// Serves a client until one of both ends it.
pub(crate) async fn serve<'a, S: Stream>(
    stream: &mut S,
    shared: &'a Shared,
    place: &'a mut Place,
) -> End {
    let mut state = State::new(shared, place);
    let result = talk(stream, &mut state).await;
    let until = state.until.min(Instant::now().saturating_add(DRAIN));
    End { poweroff: state.next == Next::Poweroff, until, result }
}

/// The same, by `state`.
async fn talk<S: Stream>(stream: &mut S, state: &mut State<'_>) -> Result<(), Error> {
    let (mut incoming, mut outgoing) = (buffer()?, buffer()?);
    let mut runner = Runner::new_server(&mut incoming, &mut outgoing);
    let (mut piece, mut at, mut end) = ([0; PIECE], 0, 0);
    loop {
        // What the last bytes mean.
        loop {
            match runner.progress()? {
                Event::Serv(ServEvent::Defunct) => return Ok(()),
                Event::Serv(event) => state.take(event)?,
                Event::Progressed | Event::Cli(_) => {}
                Event::None => break,
            }
            flush(&mut runner, stream, state.until).await?;
        }
        state.read(&mut runner)?;
        loop {
            state.run().await;
            state.write(&mut runner, stream).await?;
            // It goes on where there is room again for further answers.
            if state.typed.is_empty() || state.out.len() >= UNREAD {
                break;
            }
        }
        flush(&mut runner, stream, state.until).await?;
        if state.is_over(&runner) {
            return Ok(());
        }
        // More of them.
        if at == end {
            let count = match within(state.until(), stream.read(&mut piece)).await {
                // All is said, and the client does not close what it might.
                Err(Error::Late) if state.is_done() => return Ok(()),
                count => count?,
            };
            (at, end) = (0, count.map_err(Error::Stream)?);
            if end == 0 {
                return Ok(());
            }
            state.heard(end)?;
        }
        let taken = runner.input(piece.get(at..end).unwrap_or_default())?;
        if taken == 0 && !runner.is_output_pending() && runner.read_channel_ready().is_none() {
            // It waits for nothing that could still come.
            if matches!(runner.progress()?, Event::None) && !runner.is_input_ready() {
                return Err(Error::Protocol(sunset::Error::msg("the protocol is stuck")));
            }
        }
        at += taken;
    }
}

impl<'a> State<'a> {
    fn new(shared: &'a Shared, place: &'a mut Place) -> Self {
        Self {
            shared,
            place,
            heard: 0,
            until: Instant::now().saturating_add(shared.limits.login),
            tries: 0,
            channel: None,
            terminal: false,
            shell: None,
            typed: VecDeque::new(),
            out: Vec::new(),
            command: None,
            next: Next::More,
        }
    }

    /// The client said so many bytes.
    fn heard(&mut self, count: usize) -> Result<(), Error> {
        self.heard = self.heard.saturating_add(count);
        if !self.place.is_inside() && self.heard > UNKNOWN {
            return Err(Error::Long);
        }
        self.go_on();
        Ok(())
    }

    /// Gives a client that is logged in its time to say more.
    fn go_on(&mut self) {
        if self.place.is_inside() && self.next == Next::More {
            self.until = Instant::now().saturating_add(self.shared.limits.idle);
        }
    }

    /// Takes what the protocol asks. An event that is dropped is refused.
    fn take(&mut self, event: ServEvent<'_, '_>) -> Result<(), Error> {
        match event {
            ServEvent::Hostkeys(keys) => keys.hostkeys(&[&self.shared.host])?,
            ServEvent::FirstAuth(mut first) => first.set_auth_methods(false, true)?,
            ServEvent::PasswordAuth(_) => self.fail()?,
            ServEvent::PubkeyAuth(mut shown) => {
                let known = {
                    let key = shown.pubkey()?;
                    self.shared.authorized.iter().find(|it| it.is(&key)).copied()
                };
                shown.set_auth_methods(false, true)?;
                match known {
                    Some(key) => {
                        log::debug!("{:?} shows {key:?}", shown.username().unwrap_or("?"));
                        shown.allow()?;
                    }
                    None => {
                        shown.reject()?;
                        self.fail()?;
                    }
                }
            }
            ServEvent::Authenticated => {
                if !self.place.enter(self.shared.limits.sessions) {
                    return Err(Error::Full);
                }
                self.go_on();
            }
            ServEvent::OpenSession(open) if self.channel.is_none() => {
                self.channel = Some(open.accept()?);
            }
            ServEvent::SessionPty(request) if self.shell.is_none() => {
                self.terminal = true;
                request.succeed()?;
            }
            ServEvent::SessionShell(request) if self.shell.is_none() => {
                let commands = &self.shared.commands;
                self.shell = Some(Shell::new(commands, self.terminal, &mut self.out));
                request.succeed()?;
            }
            ServEvent::SessionExec(request) if self.shell.is_none() => {
                self.command = Some(request.command()?.into());
                let mut nothing = Vec::new();
                self.shell = Some(Shell::new(&self.shared.commands, false, &mut nothing));
                request.succeed()?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts a key that may not log in.
    fn fail(&mut self) -> Result<(), Error> {
        self.tries += 1;
        if self.tries > TRIES { Err(Error::Keys) } else { Ok(()) }
    }

    /// Takes what is typed.
    fn read(&mut self, runner: &mut Runner<'_, sunset::Server>) -> Result<(), Error> {
        let mut typed = [0; PIECE];
        while let Some(channel) = &self.channel
            && runner.read_channel_ready().is_some()
        {
            let count = runner.read_channel(channel, ChanData::Normal, &mut typed)?;
            if count == 0 {
                break;
            }
            self.typed(typed.get(..count).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Keeps what is typed until it is looked at.
    fn typed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.shell.is_some() && self.next == Next::More {
            if self.typed.len() + bytes.len() > AHEAD {
                return Err(Error::Unread);
            }
            self.typed.extend(bytes);
        }
        Ok(())
    }

    /// Gives the shell what is typed, until enough waits for the client.
    async fn run(&mut self) {
        let Some(shell) = &mut self.shell else { return };
        let before = self.next;
        if let Some(command) = self.command.take() {
            let next = shell.execute(&command, &mut self.out).await;
            self.next = if next == Next::More { Next::Exit } else { next };
        }
        while self.next == Next::More && self.out.len() < UNREAD {
            let Some(byte) = self.typed.pop_front() else { break };
            self.next = shell.type_in(&[byte], &mut self.out).await;
        }
        if self.next != before {
            self.typed.clear();
            self.until = self.until.min(Instant::now().saturating_add(DRAIN));
        }
    }

    /// Whether the last answer is on its way.
    fn is_done(&self) -> bool {
        self.next != Next::More && self.out.is_empty()
    }

    /// Until when the client has to say something.
    fn until(&self) -> Instant {
        if self.is_done() {
            return self.until.min(Instant::now().saturating_add(GOODBYE));
        }
        self.until
    }

    /// Gives the client what it has room for.
    async fn write<S: Stream>(
        &mut self,
        runner: &mut Runner<'_, sunset::Server>,
        stream: &mut S,
    ) -> Result<(), Error> {
        let Some(channel) = &self.channel else { return Ok(()) };
        while !self.out.is_empty() && !runner.is_channel_closed(channel) {
            let count = runner.write_channel(channel, ChanData::Normal, &self.out)?;
            if count == 0 {
                break;
            }
            self.out.drain(..count);
            flush(runner, stream, self.until).await?;
        }
        Ok(())
    }

    /// Whether nothing is left to be said. A client that said that it is at its end closes the
    /// channel itself, which is more polite than what is left to this side.
    fn is_over(&self, runner: &Runner<'_, sunset::Server>) -> bool {
        let Some(channel) = &self.channel else { return false };
        runner.is_channel_closed(channel) || self.is_done() && !runner.is_channel_eof(channel)
    }
}

fn buffer() -> Result<Vec<u8>, Error> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(BUFFER).map_err(|_| Error::Memory)?;
    buffer.resize(BUFFER, 0);
    Ok(buffer)
}

/// Sends what the protocol has to say.
async fn flush<S: Stream>(
    runner: &mut Runner<'_, sunset::Server>,
    stream: &mut S,
    until: Instant,
) -> Result<(), Error> {
    while !runner.output_buf().is_empty() {
        let count = within(until, stream.write(runner.output_buf())).await?;
        runner.consume_output(count.map_err(Error::Stream)?);
    }
    Ok(())
}

async fn within<F: Future>(until: Instant, future: F) -> Result<F::Output, Error> {
    let left = until.saturating_duration_since(Instant::now());
    timeout(left, future).await.map_err(|_| Error::Late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Places;
    use alloc::rc::Rc;
    use xenith::task::block_on;

    #[test]
    fn what_is_typed_ahead_waits_while_answers_do_t3() {
        let (host, _) = crate::keys::host(None).unwrap();
        let limits = Limits { sessions: 1, login: DRAIN, idle: DRAIN };
        let shared = Shared { host, authorized: Vec::new(), commands: Commands::new(), limits };
        let mut place = Place::take(&Rc::new(Places::default())).unwrap();
        let mut state = State::new(&shared, &mut place);
        state.shell = Some(Shell::new(&shared.commands, false, &mut Vec::new()));
        // Each line is answered by a hundred times as much.
        let ahead = b"help\n".repeat(AHEAD / 5);
        state.typed(&ahead).unwrap();
        block_on(state.run());
        let one = state.out.len() / state.out.windows(5).filter(|it| it == b"help ").count();
        assert!((UNREAD..UNREAD + one).contains(&state.out.len()), "{}", state.out.len());
        assert!(!state.typed.is_empty());
        // Nothing is lost of what may wait, and what may not ends the connection.
        let mut answers = 0;
        while !state.out.is_empty() {
            answers += state.out.len() / one;
            assert!(state.out.len() <= UNREAD + one);
            state.out.clear();
            block_on(state.run());
        }
        assert_eq!(answers, ahead.len() / 5);
        state.typed(&[b'a'; AHEAD]).unwrap();
        assert!(matches!(state.typed(b"b"), Err(Error::Unread)));
    }
}
