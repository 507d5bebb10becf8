//! IP of a process, as a device that a manifest names: our own stack on a tap where
//! the environment names one, else Linux's own sockets.

use super::config::{ARGUMENTS, Settings};
use super::device::OpenError;
use super::one_of::OneOf;
use super::sockets::Sockets;
use super::{Ip, Stack};
use devices::net::tap::{self, Tap};
use kernel::Device;
use kernel::args::{self, Args, Argument};
use kernel::device::Class;

/// Why the stack's arguments are refused where there is none.
const NO_STACK: &str = "only with a network interface of the app's own (--net TAP)";

impl Device for Ip {
    const CLASS: Class = Tap::CLASS;

    const ARGUMENTS: &'static [Argument] = ARGUMENTS;

    const TAKES_OVER: bool = true;

    /// None for Linux's own sockets.
    type Settings = Option<Settings>;

    type Error = OpenError<tap::Error>;

    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error> {
        if tap::is_named() {
            return Settings::configure(args).map(Some);
        }
        for name in ARGUMENTS.iter().map(|argument| argument.name) {
            let value: &'static str = args.take(name, Some(""))?;
            if !value.is_empty() {
                return Err(args::Error::Invalid { name, value, reason: NO_STACK });
            }
        }
        Ok(None)
    }

    async fn open(id: &'static str, settings: Self::Settings) -> Result<Self, Self::Error> {
        let Some(settings) = settings else { return Ok(OneOf::Second(Sockets::new())) };
        <Stack<Tap> as Device>::open(id, ((), settings)).await.map(OneOf::First)
    }
}
