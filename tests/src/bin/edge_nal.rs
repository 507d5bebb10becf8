//! Speaks MQTT 5 with the broker mosquitto, by the crate `rust-mqtt` as it is: it gives back what
//! others publish below `lab/question`, below `lab/answer`.
//!
//! Nothing of ours stands between that crate and the traits of `edge-nal` and
//! `embedded-io-async`, and what is below `main` names no type of Xenith's network.
//!
//! test: dom0 edge-nal.sh
//! test: client edge-nal-client.sh
//! test: client-then wait
//! test: timeout 90
//! test: memory 8
//! test: console-contains "mqtt: lab/question/long: 20000 bytes\n"
//! test: no-verdict

#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::net::SocketAddr;
use edge_nal::{AddrType, Dns, TcpConnect};
use kernel::Exit;
use kernel::println;
use rust_mqtt::Bytes;
use rust_mqtt::buffer::AllocBuffer;
use rust_mqtt::client::Client;
use rust_mqtt::client::event::Event;
use rust_mqtt::client::options::{
    ConnectOptions, DisconnectOptions, PublicationOptions, SubscriptionOptions, TopicReference,
};
use rust_mqtt::types::{IdentifiedQoS, MqttString, TopicFilter, TopicName};
use xenith::Ip;

kernel::unikernel! {
    /// Answers what is published below `lab/question`, below `lab/answer`.
    name: "edge_nal",
    memory: 8 MiB,
    devices: { ip: Ip("0") },
    args: {
        /// The name of the broker.
        broker: &'static str = "dom0.lab",
    },
    main: start,
}

const QUESTION: &str = "lab/question/";

/// What failed, as a line.
fn line(error: impl Debug) -> String {
    alloc::format!("{error:?}")
}

fn name(text: &str) -> Result<TopicName<'_>, String> {
    TopicName::new(MqttString::from_str(text).map_err(line)?)
        .ok_or(alloc::format!("{text}: no topic"))
}

/// What was published, and how.
struct Message {
    topic: String,
    content: Vec<u8>,
    quality: IdentifiedQoS,
    retain: bool,
}

/// Answers what `broker` passes on until a topic ends in `end`.
async fn answer<I: TcpConnect + Dns>(ip: &I, broker: &str) -> Result<(), String>
where
    <I as Dns>::Error: Debug,
{
    let broker = ip.get_host_by_name(broker, AddrType::IPv4).await.map_err(line)?;
    let stream = ip.connect(SocketAddr::new(broker, 1883)).await.map_err(line)?;
    let mut buffer = AllocBuffer;
    let mut client = Client::<'_, '_, _, _, 1, 4, 4, 1, 4, 0, 0>::new(&mut buffer);
    let options = ConnectOptions::new().clean_start();
    let id = MqttString::from_str("mqtt").map_err(line)?;
    client.connect(stream, &options, Some(id)).await.map_err(line)?;
    let filter = MqttString::from_str("lab/question/#").map_err(line)?;
    let filter = TopicFilter::new(filter).ok_or("no filter")?;
    client.subscribe(filter, &SubscriptionOptions::new().exactly_once()).await.map_err(line)?;
    loop {
        let message = match client.poll().await.map_err(line)? {
            Event::Suback(_) => {
                println!("mqtt: ready");
                continue;
            }
            Event::Publish(published) => {
                let TopicReference::Name(topic) = &published.topic else {
                    return Err("an alias of a topic, which nobody allowed".into());
                };
                Message {
                    topic: topic.as_ref().as_str().into(),
                    content: published.message.as_bytes().into(),
                    quality: published.identified_qos,
                    retain: published.retain,
                }
            }
            // Acknowledgements of what was sent.
            _ => continue,
        };
        println!("mqtt: {}: {} bytes", message.topic, message.content.len());
        let rest = message.topic.strip_prefix(QUESTION).ok_or("another topic")?;
        if rest == "end" {
            return client.disconnect(&DisconnectOptions::new()).await.map(drop).map_err(line);
        }
        let topic = alloc::format!("lab/answer/{rest}");
        let mut options = PublicationOptions::new(TopicReference::Name(name(&topic)?));
        match message.quality {
            IdentifiedQoS::AtMostOnce => {}
            IdentifiedQoS::AtLeastOnce(_) => options = options.at_least_once(),
            IdentifiedQoS::ExactlyOnce(_) => options = options.exactly_once(),
        }
        if message.retain {
            options = options.retain();
        }
        client.publish(&options, Bytes::from(&message.content[..])).await.map_err(line)?;
    }
}

async fn start<I: TcpConnect + Dns>(ip: I, broker: &'static str) -> Exit
where
    <I as Dns>::Error: Debug,
{
    match answer(&ip, broker).await {
        Ok(()) => Exit::SUCCESS,
        Err(error) => {
            println!("mqtt: {error}");
            Exit::FAILURE
        }
    }
}
