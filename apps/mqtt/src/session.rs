//! A session with a broker, over one connection after the other.

use crate::Args;
use crate::error::{Error, Memory};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::num::NonZero;
use core::time::Duration;
use embedded_io_async::Write;
use rust_mqtt::Bytes;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    AckOptions, ConnectOptions, DisconnectOptions, PublicationOptions, SubscriptionOptions,
    TopicReference,
};
use rust_mqtt::client::{Client, MqttError};
use rust_mqtt::config::{KeepAlive, SessionExpiryInterval};
use rust_mqtt::types::{
    IdentifiedQoS, MqttBinary, MqttString, PacketIdentifier, QoS, ReasonCode, TopicFilter,
    TopicName,
};
use xenith::ip::Stream;
use xenith::text::Escaped;
use xenith::time::{Instant, timeout};

/// Messages of the broker that are acknowledged and not finished, at a time.
const INCOMING: usize = 8;

/// Seconds for which the broker keeps the session of a client that is away.
const KEPT: NonZero<u32> = NonZero::new(3600).unwrap();

/// Time for a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// One filter and one message of ours are on their way at a time.
type Mqtt<'c, S> = Client<'static, 'c, S, Memory, 1, INCOMING, 1, 1, 1, 0, 0>;
type State = rust_mqtt::session::Session<1, INCOMING, 1, 0, 0>;

/// What has been done so far.
pub(crate) struct Session<'a> {
    args: &'a Args,
    /// Topics and messages.
    messages: Vec<(TopicName<'static>, &'static str)>,
    filters: Vec<TopicFilter<'static>>,
    quality: QoS,
    limit: NonZero<u32>,
    keepalive: NonZero<u16>,
    state: State,
    /// The same before a message that was not printed.
    before: Option<State>,
    /// Whether the broker may have this session.
    known: bool,
    /// How many of the filters and messages the broker has, and whether it was asked about the next
    /// filter.
    subscribed: usize,
    asked: bool,
    published: usize,
    received: u32,
    said_ready: bool,
    progress: bool,
}

impl<'a> Session<'a> {
    /// Looks at the arguments.
    pub(crate) fn new(args: &'a Args) -> Result<Self, Error> {
        let wrong = |text: &str, what| {
            Err(Error::Argument(format!("{}: {what}", Escaped(text.as_bytes()))))
        };
        let (mut messages, mut filters) = (Vec::new(), Vec::new());
        for text in &*args.publish {
            let parts = text.split_once('=');
            let name = |topic| TopicName::new(MqttString::from_str(topic).ok()?);
            match parts.and_then(|(topic, message)| Some((name(topic)?, message))) {
                Some(message) => messages.push(message),
                None => {
                    return wrong(
                        text,
                        "publish= takes TOPIC=MESSAGE, and a topic without # and +",
                    );
                }
            }
        }
        for text in &*args.subscribe {
            match MqttString::from_str(text).ok().and_then(TopicFilter::new) {
                Some(filter) => filters.push(filter),
                None => return wrong(text, "subscribe= takes a filter such as a/b, a/+ or a/#"),
            }
        }
        if messages.is_empty() && filters.is_empty() {
            return wrong("", "there is nothing to do: give publish= or subscribe=");
        }
        let words = [Some(args.id), args.user, args.password].into_iter().flatten();
        words.map(text).try_for_each(|text| text.map(drop))?;
        let quality = match args.quality {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            2 => QoS::ExactlyOnce,
            _ => return wrong("quality=", "0, 1 or 2"),
        };
        let Some(keepalive) = NonZero::new(args.keepalive) else {
            return wrong("keepalive=", "at least 1 s");
        };
        // With less there is none that could be right.
        let Some(limit) = NonZero::new(args.limit).filter(|it| it.get() >= 64) else {
            return wrong("limit=", "at least 64 bytes");
        };
        Ok(Self {
            args,
            messages,
            filters,
            quality,
            limit,
            keepalive,
            state: State::default(),
            before: None,
            known: false,
            subscribed: 0,
            asked: false,
            published: 0,
            received: 0,
            said_ready: false,
            progress: false,
        })
    }

    /// Whether a broker has let it in.
    pub(crate) const fn is_known(&self) -> bool {
        self.known
    }

    /// Whether the broker has taken a message since this was asked.
    pub(crate) fn take_progress(&mut self) -> bool {
        core::mem::take(&mut self.progress)
    }

    /// Goes on over `stream`, until everything is done.
    pub(crate) async fn run<S: Stream, C: Write>(
        &mut self,
        stream: S,
        console: &mut C,
    ) -> Result<(), Error> {
        let mut memory = Memory;
        let mut client = Mqtt::with_session(self.state.clone(), &mut memory);
        // What is not yet printed is the broker's.
        client.ack_manually_when(&|_| true);
        let result = self.go_on(&mut client, stream, console).await;
        // What becomes of the goodbye changes nothing.
        let _ = timeout(GOODBYE, leave(&mut client)).await;
        self.state = self.before.take().unwrap_or_else(|| client.session().clone());
        result
    }

    async fn go_on<S: Stream, C: Write>(
        &mut self,
        client: &mut Mqtt<'_, S>,
        stream: S,
        console: &mut C,
    ) -> Result<(), Error> {
        let patience = self.args.patience;
        let period = in_time(patience, self.enter(client, stream)).await?;
        let soon = || Instant::now().saturating_add(patience);
        let mut ping = Instant::now().saturating_add(period);
        // Until when the broker has to say anything, and what it is asked for.
        let (mut alive, mut answer): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            if in_time(patience, self.advance(client)).await? {
                return Ok(());
            }
            if self.subscribed == self.filters.len() && !self.filters.is_empty() && !self.said_ready
            {
                self.said_ready = true;
                say(console, "mqtt: ready").await?;
            }
            answer = self.waits(client).then(|| answer.unwrap_or_else(soon));
            let now = Instant::now();
            let until = [alive, answer].into_iter().flatten().min();
            if until.is_some_and(|until| until <= now) {
                return Err(Error::Late);
            }
            if ping <= now {
                in_time(patience, async { Ok(client.ping().await?) }).await?;
                alive.get_or_insert_with(soon);
                ping = Instant::now().saturating_add(period);
            }
            let until = [alive, answer, Some(ping)].into_iter().flatten().min().unwrap_or(ping);
            let left = until.saturating_duration_since(Instant::now());
            // What is received of a header stays with the client when the time is over.
            let Ok(header) = timeout(left, client.poll_header()).await else { continue };
            alive = None;
            let before = client.session().clone();
            let event = timeout(patience, client.poll_body(header?)).await;
            let event = event.map_err(|_| Error::Late)??;
            if self.is_answer(&event) {
                answer = None;
            }
            let acknowledge = Acknowledge::to(&event, self.has_all());
            self.before = Some(before);
            let line = self.take(event)?;
            if let Some(line) = &line {
                say(console, line).await?;
            }
            self.before = None;
            if let Some((due, id)) = acknowledge {
                in_time(patience, due.send(client, id)).await?;
            }
        }
    }

    /// Whether the broker owes an answer, or the end of the last message that was printed.
    fn waits<S: Stream>(&self, client: &Mqtt<'_, S>) -> bool {
        let session = client.session();
        self.asked
            || !session.outbound_publishes.is_empty()
            || self.has_all() && !session.inbound_publishes.is_empty()
    }

    /// Whether all that was to be received was.
    const fn has_all(&self) -> bool {
        self.args.count > 0 && self.received >= self.args.count
    }

    /// Makes or goes on with the session, and returns how long the broker may be silent.
    async fn enter<S: Stream>(
        &mut self,
        client: &mut Mqtt<'_, S>,
        stream: S,
    ) -> Result<Duration, Error> {
        let mut options = ConnectOptions::new()
            .keep_alive(KeepAlive::Seconds(self.keepalive))
            .session_expiry_interval(SessionExpiryInterval::Seconds(KEPT))
            .maximum_packet_size(self.limit);
        if !self.known {
            options = options.clean_start();
        }
        if let Some(user) = self.args.user {
            options = options.user_name(text(user)?);
        }
        if let Some(password) = self.args.password {
            let password = MqttBinary::from_slice(password.as_bytes());
            options = options.password(password.map_err(|_| too_long())?);
        }
        let id = text(self.args.id)?;
        let present = client.connect(stream, &options, Some(id)).await?.session_present;
        self.known = true;
        self.asked = false;
        if !present {
            self.subscribed = 0;
        } else if let Some(&(id, _)) = client.session().outbound_publishes.first()
            && let Some((topic, message)) = self.messages.get(self.published)
        {
            let options = self.options(topic);
            match client.republish(id, &options, Bytes::from(*message)).await {
                // The broker has it, and waits to hear that we know.
                Err(MqttError::HandshakeStateMismatched) => client.rerelease().await?,
                other => other?,
            }
        }
        // Asked twice within the time that the broker was told.
        Ok(match client.shared_config().keep_alive {
            KeepAlive::Seconds(time) => Duration::from_secs(time.get().into()) / 2,
            KeepAlive::Infinite => Duration::from_secs(self.keepalive.get().into()) / 2,
        })
    }

    fn options<'m>(&self, topic: &'m TopicName<'static>) -> PublicationOptions<'m> {
        let options = PublicationOptions::new(TopicReference::Name(topic.as_borrowed()));
        let options = options.qos(self.quality);
        if self.args.retain { options.retain() } else { options }
    }

    /// Sends what is next. Returns whether everything is done.
    async fn advance<S: Stream>(&mut self, client: &mut Mqtt<'_, S>) -> Result<bool, Error> {
        if self.asked || !client.session().outbound_publishes.is_empty() {
            return Ok(false);
        }
        if let Some(filter) = self.filters.get(self.subscribed) {
            let options = SubscriptionOptions::new().qos(self.quality);
            client.subscribe(filter.as_borrowed(), &options).await?;
            self.asked = true;
            return Ok(false);
        }
        while let Some((topic, message)) = self.messages.get(self.published) {
            let options = self.options(topic);
            if client.publish(&options, Bytes::from(*message)).await?.is_some() {
                return Ok(false);
            }
            self.published += 1;
            self.progress = true;
        }
        let received = self.has_all();
        let acknowledged = client.session().inbound_publishes.is_empty();
        Ok((self.filters.is_empty() || received) && acknowledged)
    }

    /// Whether it is what [`advance`](Self::advance) waits for; the broker's own messages are not,
    /// however many there are.
    fn is_answer(&self, event: &Event<'_, 1, 1>) -> bool {
        match event {
            Event::Suback(_)
            | Event::PublishRejected(_)
            | Event::PublishAcknowledged(_)
            | Event::PublishReceived(_)
            | Event::PublishComplete(_) => true,
            // The end of the last message that was asked for.
            Event::PublishReleased(_) => self.has_all(),
            _ => false,
        }
    }

    /// Takes what the broker says. Returns a line to print.
    fn take(&mut self, event: Event<'_, 1, 1>) -> Result<Option<String>, Error> {
        match event {
            Event::Suback(answer) => {
                self.asked = false;
                if answer.reason_code.is_erroneous() {
                    let filter = self.args.subscribe.get(self.subscribed).copied();
                    return Err(refused(filter, answer.reason_code));
                }
                self.subscribed += 1;
            }
            // The broker had finished it, and what it said of that went with the last connection
            // (section 3.7.2.1).
            Event::PublishRejected(answer)
                if answer.reason_code == ReasonCode::PacketIdentifierNotFound =>
            {
                self.published += 1;
                self.progress = true;
            }
            Event::PublishRejected(answer) => {
                let message = self.args.publish.get(self.published).copied();
                return Err(refused(message, answer.reason_code));
            }
            Event::PublishAcknowledged(_) | Event::PublishComplete(_) => {
                self.published += 1;
                self.progress = true;
            }
            Event::Publish(message) if !self.has_all() => {
                let TopicReference::Name(topic) = &message.topic else {
                    return Err(Error::Malformed);
                };
                let (topic, content) = (topic.as_ref().as_str(), message.message.as_bytes());
                let mut line = String::new();
                // Escaped, a byte is four.
                let longest = (topic.len() + content.len()).saturating_mul(4).saturating_add(2);
                line.try_reserve(longest).map_err(|_| Error::Memory)?;
                // Writing to a string does not fail.
                let _ = write!(line, "{} {}", Escaped(topic.as_bytes()), Escaped(content));
                // What could not be kept comes again, and counts then.
                self.received = self.received.saturating_add(1);
                return Ok(Some(line));
            }
            _ => {}
        }
        Ok(None)
    }
}

/// What the broker is to hear of a message of its own, once that is printed.
#[derive(Clone, Copy, Debug)]
enum Acknowledge {
    /// All of it, at quality 1.
    Puback(ReasonCode),
    /// The first half, at quality 2.
    Pubrec(ReasonCode),
    /// The second one.
    Pubcomp,
}

impl Acknowledge {
    /// Returns what is due after an event. A message more than was asked for is not printed, and
    /// refused.
    fn to(event: &Event<'_, 1, 1>, has_all: bool) -> Option<(Self, PacketIdentifier)> {
        match event {
            // One that was printed before, at quality 2, is known by its number.
            Event::Publish(message) | Event::Duplicate(message) => {
                let more = has_all && matches!(event, Event::Publish(_));
                let reason = if more { ReasonCode::QuotaExceeded } else { ReasonCode::Success };
                match message.identified_qos {
                    IdentifiedQoS::AtMostOnce => None,
                    IdentifiedQoS::AtLeastOnce(id) => Some((Self::Puback(reason), id)),
                    IdentifiedQoS::ExactlyOnce(id) => Some((Self::Pubrec(reason), id)),
                }
            }
            Event::PublishReleased(release) => Some((Self::Pubcomp, release.packet_identifier)),
            _ => None,
        }
    }

    async fn send<S: Stream>(
        self,
        client: &mut Mqtt<'_, S>,
        id: PacketIdentifier,
    ) -> Result<(), Error> {
        let options = AckOptions::new();
        let sent = match self {
            Self::Puback(reason) => client.manual_acknowledge(id, reason, &options).await,
            Self::Pubrec(reason) => client.manual_receive(id, reason, &options).await,
            Self::Pubcomp => client.manual_complete(id, &options).await,
        };
        match sent {
            // The client has answered to a message that came twice in one connection.
            Err(MqttError::HandshakeStateMismatched) => Ok(()),
            other => Ok(other?),
        }
    }
}

/// Says goodbye, or why the broker made no sense.
async fn leave<S: Stream>(client: &mut Mqtt<'_, S>) {
    match client.disconnect(&DisconnectOptions::new()).await {
        Err(error) if !error.is_recoverable() => drop(client.abort().await),
        _ => {}
    }
}

/// The same within a time.
async fn in_time<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    timeout(limit, answer).await.unwrap_or(Err(Error::Late))
}

fn refused(what: Option<&str>, reason: ReasonCode) -> Error {
    Error::Refused(what.unwrap_or_default().into(), reason)
}

fn text(text: &'static str) -> Result<MqttString<'static>, Error> {
    MqttString::from_str(text).map_err(|_| too_long())
}

fn too_long() -> Error {
    Error::Argument("id=, user= and password= take 65535 bytes each, and no zero byte".into())
}

async fn say(console: &mut impl Write, line: &str) -> Result<(), Error> {
    for part in [line.as_bytes(), b"\n"] {
        console.write_all(part).await.map_err(|_| Error::Console)?;
    }
    Ok(())
}
