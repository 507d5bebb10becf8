//! Tells why a connection is not to be trusted, or is broken.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use kernel::text::Escaped;
use rustls::pki_types::{IpAddr as Address, ServerName};
use rustls::{AlertDescription, CertificateError, Error as Flaw};

/// Seconds since 1970, printed as a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When(pub u64);

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = kernel::calendar::date(self.0 / 86_400);
        let (hour, minute) = (self.0 / 3600 % 24, self.0 / 60 % 60);
        write!(f, "{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }
}

/// Says why TLS failed, or why its keys, certificates and names cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no certificate in the file, or it is not in PEM form.
    NoCertificate,
    /// There is no private key in the file that is P-256 or Ed25519.
    NoKey,
    /// The private key is not the one that the certificate is for.
    OtherKey,
    /// The name is no host name or address.
    BadName,
    /// The certificate is for these names, and not for the one asked for.
    WrongName(String, Vec<String>),
    /// The certificate was valid until then, and now it is later.
    Expired {
        /// The end of its validity.
        until: When,
        /// The time of this machine.
        now: When,
    },
    /// The certificate is valid from then on, and now it is earlier.
    NotYetValid {
        /// The beginning of its validity.
        from: When,
        /// The time of this machine.
        now: When,
    },
    /// Nobody who is trusted has certified it.
    UnknownIssuer,
    /// The certificate is for another purpose: not for servers, or not for clients.
    WrongPurpose,
    /// The peer does not have the private key that its certificate is for: it is somebody else's.
    NotItsKey,
    /// The certificate has an RSA key that no signature is verified by: it is not of 2048 to 8192
    /// bits, or malformed.
    UnusableKey,
    /// The certificate's SHA-256 is another one, which the log tells.
    WrongFingerprint,
    /// Something else is wrong with the certificate.
    BadCertificate(String),
    /// The client shows no certificate.
    NoClientCertificate,
    /// The peer ends the connection, for this reason.
    Alert(String),
    /// What the peer sends is not TLS, or breaks its rules, in this way.
    Protocol(String),
    /// The two have no version, algorithm or protocol in common.
    NothingInCommon(String),
    /// The connection ended without TLS's own end (`close_notify`): somebody may have cut it.
    Truncated,
    /// The handshake takes longer than the limit.
    TimedOut,
    /// As many handshakes are under way as may be, and this is the oldest of them, or they hold as much
    /// memory as they may, and this one the most of it.
    Crowded,
    /// The peer sends a message of a handshake of more than 64 KiB, or 16 KiB where it shows no
    /// certificate; or one of more than 1 KiB as the client of an open connection.
    TooLong,
    /// There is no randomness for keys.
    NoEntropy,
    /// There is no memory.
    Memory,
    /// The connection below.
    Network(ip::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate in PEM form"),
            Self::NoKey => {
                f.write_str("there is no private key in PEM form that is P-256 or Ed25519")
            }
            Self::OtherKey => f.write_str("the certificate is for another private key"),
            Self::BadName => f.write_str("that is no name of a host"),
            Self::WrongName(asked, names) => {
                write!(f, "the certificate is not for {}", Escaped(asked.as_bytes()))?;
                for (at, name) in names.iter().take(8).enumerate() {
                    let before = if at == 0 { ", but for " } else { ", " };
                    write!(f, "{before}{}", Escaped(name.as_bytes()))?;
                }
                Ok(())
            }
            Self::Expired { until, now } => {
                write!(
                    f,
                    "the certificate has expired: it was valid until {until}, and this machine's clock says {now}"
                )
            }
            Self::NotYetValid { from, now } => {
                write!(
                    f,
                    "the certificate is not yet valid: it is from {from} on, and this machine's clock says {now}"
                )
            }
            Self::UnknownIssuer => {
                f.write_str("the certificate is signed by nobody who is trusted here")
            }
            Self::WrongPurpose => f.write_str("the certificate is for another purpose"),
            Self::NotItsKey => {
                f.write_str("the peer does not have the private key that its certificate is for")
            }
            Self::UnusableKey => f.write_str(
                "a certificate has an RSA key that is malformed, or not of 2048 to 8192 bits",
            ),
            Self::WrongFingerprint => f.write_str("the certificate has another fingerprint"),
            Self::BadCertificate(why) => {
                write!(f, "the certificate is bad: {}", Escaped(why.as_bytes()))
            }
            Self::NoClientCertificate => f.write_str("the client shows no certificate"),
            Self::Alert(alert) => write!(f, "the peer ends it: {}", Escaped(alert.as_bytes())),
            Self::Protocol(why) => {
                write!(f, "the peer breaks the rules of TLS: {}", Escaped(why.as_bytes()))
            }
            Self::NothingInCommon(why) => {
                write!(f, "the peer has nothing in common: {}", Escaped(why.as_bytes()))
            }
            Self::Truncated => f.write_str("the connection was cut"),
            Self::TimedOut => f.write_str("the handshake takes too long"),
            Self::Crowded => f.write_str("other handshakes need the place of this one"),
            Self::TooLong => f.write_str("a message of the handshake is too long"),
            Self::NoEntropy => {
                f.write_str("there is no source of randomness: see the argument seed=")
            }
            Self::Memory => f.write_str("no memory is left"),
            Self::Network(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl Error {
    /// Returns what who reads and writes is told, which has no room for more.
    pub(crate) const fn short(&self) -> ip::Error {
        match self {
            Self::Truncated => ip::Error::Reset,
            Self::TimedOut => ip::Error::TimedOut,
            Self::NoEntropy => ip::Error::NoEntropy,
            Self::Memory | Self::Crowded => ip::Error::Exhausted,
            Self::Network(error) => *error,
            _ => ip::Error::Untrusted,
        }
    }
}

impl From<ip::Error> for Error {
    fn from(error: ip::Error) -> Self {
        Self::Network(error)
    }
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::InvalidCertificate(error) => of_certificate(error),
            Flaw::NoCertificatesPresented => Self::NoClientCertificate,
            Flaw::AlertReceived(AlertDescription::CloseNotify) => Self::Truncated,
            Flaw::AlertReceived(alert) => {
                Self::Alert(alert.as_str().map_or_else(|| alloc::format!("{alert:?}"), Into::into))
            }
            Flaw::PeerIncompatible(_) | Flaw::NoApplicationProtocol => {
                Self::NothingInCommon(flaw.to_string())
            }
            Flaw::FailedToGetRandomBytes => Self::NoEntropy,
            Flaw::UnsupportedNameType => Self::BadName,
            Flaw::InconsistentKeys(_) => Self::OtherKey,
            // Which is what our own verifiers say of a key, and rustls of nothing.
            Flaw::Other(_) => Self::UnusableKey,
            other => Self::Protocol(other.to_string()),
        }
    }
}

fn of_certificate(error: CertificateError) -> Error {
    match error {
        CertificateError::ExpiredContext { time, not_after } => {
            Error::Expired { until: When(not_after.as_secs()), now: When(time.as_secs()) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            Error::NotYetValid { from: When(not_before.as_secs()), now: When(time.as_secs()) }
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let asked = match &expected {
                ServerName::DnsName(name) => name.as_ref().to_string(),
                ServerName::IpAddress(Address::V4(it)) => Ipv4Addr::from(*it.as_ref()).to_string(),
                ServerName::IpAddress(Address::V6(it)) => Ipv6Addr::from(*it.as_ref()).to_string(),
                _ => String::new(),
            };
            Error::WrongName(asked, presented)
        }
        CertificateError::UnknownIssuer => Error::UnknownIssuer,
        // A client's verifier says this of the handshake alone.
        CertificateError::BadSignature => Error::NotItsKey,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Error::WrongPurpose
        }
        // Which says no more, and most often is that.
        CertificateError::Other(_) => Error::BadCertificate(
            "it is of a form that is not read, such as version 1 of X.509".to_string(),
        ),
        // Which is what the verifier of fingerprints says.
        CertificateError::ApplicationVerificationFailure => Error::WrongFingerprint,
        other => Error::BadCertificate(other.to_string()),
    }
}
