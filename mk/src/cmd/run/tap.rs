//! A tap interface of this machine, as the network of an app that is a process.

use std::fs::{self, File};
use std::path::Path;

/// The command line's interface is there and ours to open, or else what is to be done.
pub(super) fn check(tap: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if tap.is_empty() || tap.len() > 15 || !tap.chars().all(plain) {
        return Err(format!("{tap:?} is not the name of an interface"));
    }
    check_in(Path::new("/sys/class/net"), tap, rustix::process::geteuid().as_raw())?;
    let device = File::options().read(true).write(true).open("/dev/net/tun");
    device.map(drop).map_err(|error| {
        format!("/dev/net/tun cannot be opened: {error}; type:\n  sudo modprobe tun")
    })
}

fn check_in(interfaces: &Path, tap: &str, user: u32) -> Result<(), String> {
    let number = |file: &str| {
        let text = fs::read_to_string(interfaces.join(tap).join(file)).ok()?;
        let text = text.trim();
        match text.strip_prefix("0x") {
            Some(digits) => i64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
    };
    let make = format!(
        "sudo ip tuntap add dev {tap} mode tap user $USER; \
         sudo ip addr add 10.0.0.1/24 dev {tap}; sudo ip link set {tap} up"
    );
    let again = format!("sudo ip link del {tap}; {make}");
    if !interfaces.join(tap).exists() {
        return Err(format!("there is no interface {tap}; make it with:\n  {make}"));
    }
    // IFF_TAP of linux/if_tun.h.
    if number("tun_flags").is_none_or(|flags| flags & 2 == 0) {
        return Err(format!(
            "the interface {tap} is not a tap; choose another name, or type:\n  {again}"
        ));
    }
    // Without an owner it is everybody's.
    if number("owner").is_some_and(|owner| owner >= 0 && owner != i64::from(user) && user != 0) {
        return Err(format!("the tap {tap} is another user's; make it yours with:\n  {again}"));
    }
    // IFF_UP of linux/if.h.
    if number("flags").is_some_and(|flags| flags & 1 == 0) {
        return Err(format!("the tap {tap} is down; type:\n  sudo ip link set {tap} up"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let check = |user| check_in(folder.path(), "tap0", user);
        let error = check(1000).unwrap_err();
        assert!(
            error.ends_with(
                "\n  sudo ip tuntap add dev tap0 mode tap user $USER; sudo ip addr add \
                 10.0.0.1/24 dev tap0; sudo ip link set tap0 up"
            ),
            "{error}"
        );
        let tap = folder.path().join("tap0");
        fs::create_dir(&tap).unwrap();
        assert!(check(1000).unwrap_err().contains("is not a tap"));
        fs::write(tap.join("tun_flags"), "0x1002\n").unwrap();
        fs::write(tap.join("owner"), "-1\n").unwrap();
        assert_eq!(check(1000), Ok(()));
        fs::write(tap.join("owner"), "1000\n").unwrap();
        assert_eq!((check(1000), check(0)), (Ok(()), Ok(())));
        assert!(check(1001).unwrap_err().contains("another user's"));
        fs::write(tap.join("flags"), "0x1002\n").unwrap();
        assert!(check(1000).unwrap_err().ends_with("sudo ip link set tap0 up"));
        fs::write(tap.join("flags"), "0x1003\n").unwrap();
        assert_eq!(check(1000), Ok(()));
        assert!(super::check("../x").is_err());
    }
}
