//! Whom it is told to trust.

use super::trust::{Error, config, fingerprint};
use std::borrow::ToOwned;
use xenith::block::memory::Memory;
use xenith::task::block_on;
use xenith::tls;

const DIGITS: &str = "00:01:02:03:04:05:06:07:08:09:0a:0b:0c:0d:0e:0f:\
                      10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:fF";

#[test]
fn fingerprints_are_as_others_print_them() {
    let bytes = fingerprint(DIGITS).unwrap();
    assert_eq!((bytes[0], bytes[30], bytes[31]), (0, 0x1e, 0xff));
    let plain = DIGITS.replace(':', "").leak();
    assert_eq!(fingerprint(plain), Ok(bytes));
    for text in ["", "sha256", &plain[..63], &plain[1..], &plain[..62]] {
        let text = text.to_owned().leak();
        assert_eq!(fingerprint(text), Err(Error::Fingerprint(text)));
    }
    assert!(fingerprint(plain.replace('a', "g").leak()).is_err());
    let longer = std::format!("{plain}0").leak();
    assert!(fingerprint(longer).is_err());
}

#[test]
fn roots_are_certificates_on_a_disk_and_nothing_else() {
    let with = |content: &[u8], fingerprints: &[&'static str]| {
        let mut sectors = content.to_vec();
        sectors.resize(content.len().next_multiple_of(512), 0);
        let disk = Memory::from_bytes(512, sectors);
        block_on(config(&disk, fingerprints, true)).map(drop)
    };
    let pem = include_bytes!("../../../tests/tls/rsa-ca.pem");
    assert_eq!(with(pem, &[]), Ok(()));
    assert_eq!(with(b"nothing of that sort", &[]), Err(Error::Roots(tls::Error::NoCertificate)));
    assert_eq!(with(&pem[..200], &[]), Err(Error::Roots(tls::Error::NoCertificate)));
    // The disk does not matter then.
    assert_eq!(with(b"nothing", &[DIGITS]), Ok(()));
    assert_eq!(with(pem, &[DIGITS, "x"]), Err(Error::Fingerprint("x")));
}
