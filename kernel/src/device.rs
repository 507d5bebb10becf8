//! Defines what an app can name in its manifest's `devices`.

use crate::args::{self, Args, Argument};

/// Describes a class of devices, the same for all of its drivers on Xen and on Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// Name of the class, such as `console`.
    pub name: &'static str,
    /// The device in a domain's configuration. `None` if every domain has it.
    pub xl: Option<Xl>,
}

/// Describes a device in the configuration for `xl` (xl.cfg(5)), which `cargo mk` generates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xl {
    /// Name of the option, a list, such as `vif`.
    pub setting: &'static str,
    /// Id of the device that the empty id names. If it is a number, ids are positions in the list,
    /// and the list gets an item for every lower position too.
    pub first: &'static str,
    /// The item of the list. `{id}` stands for the device's id, `{name}` for the app's name.
    pub item: &'static str,
}

/// Opens a device that an app's manifest names.
///
/// Drivers implement it, and devices that wrap another one, which pass its settings on.
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
    /// Class of the device.
    const CLASS: Class;

    /// What the domain needs for this device, as `help` prints it, such as a line of its
    /// configuration. Empty if nothing.
    const NEEDS: &'static str = "";

    /// Arguments that the device adds to the app's.
    const ARGUMENTS: &'static [Argument] = &[];

    /// Whether opening it takes over from a former image ([`update`](crate::update)), as a network
    /// stack does. From then on there is no way back, so other devices that the domain may lack are
    /// opened before it.
    const TAKES_OVER: bool = false;

    /// Values of these arguments.
    type Settings;

    /// Error of [`open`](Self::open).
    type Error: core::fmt::Display;

    /// Takes the arguments of the device out of `args`. Called once for each device of the
    /// manifest, before any is opened.
    ///
    /// # Errors
    /// If a value is invalid.
    fn configure(args: &mut Args) -> Result<Self::Settings, args::Error>;

    /// Opens the device with this id, such as `xvda`. The empty string means the first one.
    ///
    /// # Errors
    /// If there is no such device, or it cannot be used.
    fn open(
        id: &'static str,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<Self, Self::Error>>;
}
