//! Says what goes wrong with a broker.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use embedded_io_async::ErrorKind;
use rust_mqtt::client::MqttError;
use rust_mqtt::types::ReasonCode;
use xenith::text::Escaped;
use xenith::{Exit, ip};

/// Why a connection ended, or why there is no use in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// There is no connection.
    Network(ip::Error),
    /// The connection broke.
    Broken(ErrorKind),
    /// The broker is silent.
    Late,
    /// The broker said something that is none of MQTT 5.0, or longer than is allowed.
    Malformed,
    /// There is no memory for what it says.
    Memory,
    /// The broker ends the connection, or does not let the client in, and says why.
    Ended(ReasonCode, String),
    /// The broker does not take this.
    Refused(String, ReasonCode),
    /// The broker does not offer what this needs, or takes none as long.
    Unsupported(String),
    /// An argument makes no sense: this one.
    Argument(String),
    /// The console failed.
    Console,
}

impl Error {
    /// Whether it may be better later.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Network(_) | Self::Broken(_) | Self::Late | Self::Malformed | Self::Memory => {
                true
            }
            Self::Ended(reason, _) => matches!(
                reason,
                ReasonCode::Success
                    | ReasonCode::UnspecifiedError
                    | ReasonCode::ImplementationSpecificError
                    | ReasonCode::ServerUnavailable
                    | ReasonCode::ServerBusy
                    | ReasonCode::ServerShuttingDown
                    | ReasonCode::KeepAliveTimeout
                    | ReasonCode::MessageRateTooHigh
                    | ReasonCode::QuotaExceeded
                    | ReasonCode::AdministrativeAction
                    | ReasonCode::ConnectionRateExceeded
                    | ReasonCode::MaximumConnectTime
            ),
            _ => false,
        }
    }

    /// Whether the broker is not who it should be.
    pub(crate) fn is_of_trust(&self) -> bool {
        matches!(self, Self::Network(ip::Error::Untrusted))
    }

    /// What the program ends with.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Refused(..) | Self::Unsupported(_) | Self::Argument(_) => Exit(5),
            Self::Console => Exit::FAILURE,
            _ => Exit(4),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(error) => error.fmt(f),
            Self::Broken(ErrorKind::NotConnected) => {
                f.write_str("the broker closed the connection")
            }
            Self::Broken(kind) => write!(f, "the connection broke: {kind:?}"),
            Self::Late => f.write_str("the broker does not answer"),
            Self::Malformed => {
                f.write_str("the broker says what is not of MQTT 5.0, or more than limit= allows")
            }
            Self::Memory => f.write_str("there is not enough memory for what the broker says"),
            Self::Ended(reason, text) => {
                write!(f, "the broker ends the connection: {reason:?}")?;
                let text = Escaped(text.as_bytes());
                if text.0.is_empty() { Ok(()) } else { write!(f, ", {text}") }
            }
            Self::Refused(what, reason) => {
                write!(f, "the broker refuses {}: {reason:?}", Escaped(what.as_bytes()))
            }
            Self::Unsupported(what) => {
                write!(f, "the broker does not offer what {} needs", Escaped(what.as_bytes()))
            }
            Self::Argument(text) => f.write_str(text),
            Self::Console => f.write_str("the console failed"),
        }
    }
}

impl<const N: usize> From<MqttError<'_, N>> for Error {
    fn from(error: MqttError<'_, N>) -> Self {
        match error {
            MqttError::Network(kind) => Self::Broken(kind),
            MqttError::Alloc => Self::Memory,
            MqttError::Disconnect { reason, reason_string, .. } => {
                let text = reason_string.as_ref().map_or("", |text| text.as_str());
                Self::Ended(reason, text.into())
            }
            MqttError::UnsupportedByServer
            | MqttError::ServerMaximumPacketSizeExceeded
            | MqttError::PacketMaximumLengthExceeded => Self::Unsupported("an argument".into()),
            _ => Self::Malformed,
        }
    }
}

/// Gives the client memory, and an error where there is none.
pub(crate) struct Memory;

impl<'a> rust_mqtt::buffer::BufferProvider<'a> for Memory {
    type Buffer = Vec<u8>;
    type ProvisionError = alloc::collections::TryReserveError;

    fn provide_buffer(&mut self, len: usize) -> Result<Vec<u8>, Self::ProvisionError> {
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(len)?;
        buffer.resize(len, 0);
        Ok(buffer)
    }
}
