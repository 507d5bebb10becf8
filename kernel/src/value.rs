//! Defines the types of arguments, and the text of their values.

use crate::command_line::MAX_ARGUMENTS;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

/// Says why a text is not a valid value of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It is not of the type's [`KIND`](Value::KIND): "not a number from 0 to 255".
    NotOfKind,
    /// Another reason, which follows the value in the error, such as "at least 10s".
    Because(&'static str),
}

/// Converts the text of an argument into a typed value.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use xenith::args::{Reason, Value};
///
/// /// A level of a light, in percent.
/// #[derive(Debug, PartialEq)]
/// struct Percent(u8);
///
/// impl Value for Percent {
///     const KIND: &'static str = "number from 0 to 100";
///
///     fn parse(text: &'static str) -> Result<Self, Reason> {
///         match u8::parse(text)? {
///             level @ 0..=100 => Ok(Self(level)),
///             _ => Err(Reason::Because("more than all of it")),
///         }
///     }
/// }
///
/// assert_eq!(Percent::parse("80"), Ok(Percent(80)));
/// assert_eq!(Percent::parse("bright"), Err(Reason::NotOfKind));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument's type",
    note = "arguments are `&'static str`, `bool`, integers, `Duration`, `Size`, IP and socket \
            addresses, an `Option` of these, `Several`, or a type that implements `Value`"
)]
pub trait Value: Sized {
    /// Says what the user may write, such as `number from 0 to 255`; it follows "a".
    const KIND: &'static str;

    /// Says in `help` what holds when the argument is left out and the manifest gives no
    /// default; `None` means that it must be given.
    const ABSENT: Option<&'static str> = None;

    /// Lets the key be given several times; each further value goes to [`add`](Self::add).
    const SEVERAL: bool = false;

    /// Parses `text`.
    ///
    /// # Errors
    /// A reason, which is shown to the user after the argument's name and value.
    fn parse(text: &'static str) -> Result<Self, Reason>;

    /// Returns the value of an argument that was left out and has no default, where
    /// [`ABSENT`](Self::ABSENT) says that there is one.
    fn absent() -> Option<Self> {
        None
    }

    /// Takes a further value of the same key.
    fn add(&mut self, _: &'static str) {}
}

/// Turns the default that a manifest gives into a `T`: a `T` itself, or, for types that
/// have no literals, the text that a user would write.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use core::time::Duration;
/// use xenith::args::Preset;
///
/// assert_eq!(Preset::<Duration>::preset("5m"), Ok(Duration::from_secs(300)));
/// assert_eq!(Preset::<u16>::preset(80), Ok(80));
/// ```
pub trait Preset<T> {
    /// Returns the default.
    ///
    /// # Errors
    /// When the manifest's text is no such value.
    fn preset(self) -> Result<T, Reason>;
}

impl<T: Value> Preset<T> for T {
    fn preset(self) -> Result<T, Reason> {
        Ok(self)
    }
}

macro_rules! presets {
    ($($type:ty),*) => {$(
        impl Preset<$type> for &'static str {
            fn preset(self) -> Result<$type, Reason> {
                Value::parse(self)
            }
        }
    )*};
}

presets!(Duration, Size, IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr);

/// Holds the values of a key that can be given several times, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Several(heapless::Vec<&'static str, MAX_ARGUMENTS>);

impl core::ops::Deref for Several {
    type Target = [&'static str];

    fn deref(&self) -> &[&'static str] {
        &self.0
    }
}

impl Value for Several {
    const KIND: &'static str = "text, any number of times";
    const ABSENT: Option<&'static str> = Some("none");
    const SEVERAL: bool = true;

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let mut several = Self::default();
        several.add(text);
        Ok(several)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }

    fn add(&mut self, text: &'static str) {
        // There is room for as many as a command line has.
        let _ = self.0.push(text);
    }
}

/// Yields `None` if the argument is not given.
impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;
    const ABSENT: Option<&'static str> = Some("none");

    fn parse(text: &'static str) -> Result<Self, Reason> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Value for &'static str {
    const KIND: &'static str = "text";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        Ok(text)
    }
}

impl Value for bool {
    const KIND: &'static str = "switch (on or off)";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        match text {
            "on" | "true" | "yes" | "1" => Ok(true),
            "off" | "false" | "no" | "0" => Ok(false),
            _ => Err(Reason::NotOfKind),
        }
    }
}

macro_rules! parsed {
    ($($type:ty: $kind:literal),* $(,)?) => {$(
        impl Value for $type {
            const KIND: &'static str = $kind;

            fn parse(text: &'static str) -> Result<Self, Reason> {
                text.parse().map_err(|_| Reason::NotOfKind)
            }
        }
    )*};
}

/// Parses numbers in decimal, without the plus sign that Rust lets stand before them.
macro_rules! numbers {
    ($($type:ty: $kind:literal),* $(,)?) => {$(
        impl Value for $type {
            const KIND: &'static str = $kind;

            fn parse(text: &'static str) -> Result<Self, Reason> {
                match text.as_bytes() {
                    [b'+', ..] => Err(Reason::NotOfKind),
                    _ => text.parse().map_err(|_| Reason::NotOfKind),
                }
            }
        }
    )*};
}

numbers! {
    u8: "number from 0 to 255",
    u16: "number from 0 to 65535",
    u32: "number from 0 to 4294967295",
    u64: "number from 0 to 18446744073709551615",
    usize: "number from 0 to 18446744073709551615",
    i32: "number from -2147483648 to 2147483647",
    i64: "number from -9223372036854775808 to 9223372036854775807",
}

parsed! {
    IpAddr: "numeric IP address",
    Ipv4Addr: "IPv4 address such as 10.0.0.1",
    Ipv6Addr: "IPv6 address such as fd00::1",
    SocketAddr: "numeric address and port such as 10.0.0.1:80 or [fd00::1]:80",
}

/// Gives a size in bytes. Written as `512`, `64KiB`, `"16 MiB"` or `1GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Value for Size {
    const KIND: &'static str = "size such as 512, 64KiB or 16MiB";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let (number, unit) = number(text)?;
        let scale = match unit {
            "" | "B" => 0,
            "KiB" | "K" => 10,
            "MiB" | "M" => 20,
            "GiB" | "G" => 30,
            _ => return Err(Reason::NotOfKind),
        };
        let bytes = number.checked_mul(1 << scale);
        bytes.map(Self).ok_or(Reason::Because("more than 18446744073709551615 bytes"))
    }
}

/// Written with a unit (`ms`, `s`, `m`, `h`, `d`), or in seconds without one.
impl Value for Duration {
    const KIND: &'static str = "duration such as 250ms, 90s, 5m or 2h";

    fn parse(text: &'static str) -> Result<Self, Reason> {
        let (number, unit) = number(text)?;
        let seconds = match unit {
            "ms" => return Ok(Self::from_millis(number)),
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(Reason::NotOfKind),
        };
        let seconds = number.checked_mul(seconds);
        seconds.map(Self::from_secs).ok_or(Reason::Because("longer than 18446744073709551615 s"))
    }
}

/// Splits `text` into the number that it begins with and the unit behind it.
fn number(text: &str) -> Result<(u64, &str), Reason> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).ok_or(Reason::NotOfKind)?;
    Ok((number.parse().map_err(|_| Reason::NotOfKind)?, unit.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_plus_sign() {
        assert_eq!(u16::parse("080"), Ok(80));
        assert_eq!(i32::parse("-80"), Ok(-80));
        for text in ["+80", "-80", "+", "", " 80", "80 ", "8_0", "0x80", "65536"] {
            assert_eq!(u16::parse(text), Err(Reason::NotOfKind), "{text}");
        }
        assert_eq!(i64::parse("+1"), Err(Reason::NotOfKind));
        assert_eq!(SocketAddr::parse("10.0.0.1:+80"), Err(Reason::NotOfKind));
    }

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("0", 0),
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("250ms", 250),
            ("2 h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(Duration::parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1s", "+1s", "1.5s", "1 week", "1s ", "18446744073709551616", "é"] {
            assert_eq!(Duration::parse(text), Err(Reason::NotOfKind), "{text}");
        }
        assert!(matches!(Duration::parse("18446744073709551615m"), Err(Reason::Because(_))));
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64KiB", 65536),
            ("64 KiB", 65536),
            ("2M", 2 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(Size::parse(text), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "KiB", "-1", "1 kB", "1.5M", "1KiBx"] {
            assert_eq!(Size::parse(text), Err(Reason::NotOfKind), "{text}");
        }
        assert!(matches!(Size::parse("18446744073709551615 KiB"), Err(Reason::Because(_))));
    }

    #[test]
    fn addresses_are_numeric() {
        assert_eq!(IpAddr::parse("fd00::1"), Ok("fd00::1".parse().unwrap()));
        assert_eq!(SocketAddr::parse("[::1]:80"), Ok("[::1]:80".parse().unwrap()));
        assert_eq!(Ipv4Addr::parse("fd00::1"), Err(Reason::NotOfKind));
        assert_eq!(IpAddr::parse("localhost"), Err(Reason::NotOfKind));
        assert_eq!(Option::<Ipv6Addr>::parse("::1"), Ok(Some(Ipv6Addr::LOCALHOST)));
        assert_eq!(Option::<Ipv6Addr>::absent(), Some(None));
    }
}
