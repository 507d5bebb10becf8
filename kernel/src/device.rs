//! What an app can name in its manifest's `devices`.

use crate::args::{self, Args, Argument};

/// A class of devices: what its drivers say alike, on Xen and on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Its name in the manifest's note, such as `console`.
    pub name: &'static str,
    /// What a domain's configuration has for a device; nothing for what each domain has.
    pub xl: Option<Xl>,
}

/// What a domain's configuration for `xl` has for one device. `cargo mk` makes the
/// configuration from it, and knows by it which devices are disks and which are interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xl {
    /// The setting, which is a list, such as `vif`.
    pub setting: &'static str,
    /// The id of the device that the empty id names. Where it is a number, ids are places in
    /// the list, so that a device has all places before its own as well.
    pub first: &'static str,
    /// The device's item in the list. `{id}` is its id in there, and `{name}` the app's name.
    pub item: &'static str,
}

/// Something that an app can name in its manifest's `devices`.
///
/// A driver implements it; a device that wraps another one passes its settings on.
///
/// # Example
/// ```
/// # use xenith_kernel as xenith;
/// use core::convert::Infallible;
/// use xenith::Device;
/// use xenith::device::Class;
/// use xenith::args::{self, Args, Argument};
/// use xenith::task::block_on;
///
/// /// A die with as many sides as the argument `sides` says.
/// struct Dice(u64);
///
/// impl Device for Dice {
///     const CLASS: Class = Class { name: "dice", xl: None };
///     const ARGUMENTS: &'static [Argument] = &[Argument {
///         name: "sides",
///         kind: <u64 as args::Value>::KIND,
///         default: Some("6"),
///         help: &["The number of sides."],
///     }];
///
///     type Settings = u64;
///     type Error = Infallible;
///
///     fn configure(args: &mut Args) -> Result<u64, args::Error> {
///         args.take("sides", Some(6))
///     }
///
///     async fn open(_: &'static str, sides: u64) -> Result<Self, Infallible> {
///         Ok(Self(sides))
///     }
/// }
///
/// let sides = Dice::configure(&mut Args::default()).unwrap();
/// let Ok(dice) = block_on(Dice::open("", sides));
/// assert_eq!(dice.0, 6);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a device",
    note = "the `devices` of a manifest are types such as `xenith::Console`"
)]
pub trait Device: Sized {
    /// Its class.
    const CLASS: Class;

    /// What has to be there for it, as `help` says it; empty for what is always there.
    const NEEDS: &'static str = "";

    /// The arguments that it adds to the app's.
    const ARGUMENTS: &'static [Argument] = &[];

    /// What its arguments say.
    type Settings;

    /// Why it may fail to open.
    type Error: core::fmt::Display;

    /// Takes its arguments.
    ///
    /// # Errors
    /// When one of them makes no sense.
    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error>;

    /// Opens the device that `id` names, such as `xvda`; the empty string is the first one.
    ///
    /// # Errors
    /// When there is no such device or it cannot be used.
    fn open(
        id: &'static str,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<Self, Self::Error>>;
}
