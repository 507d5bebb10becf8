//! Whom it is told to trust.

use super::trust::{Error, config, fingerprint, options};
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

#[test]
fn behind_the_roots_may_stand_who_the_client_is() {
    let with = |content: &[&[u8]], fingerprints: &[&'static str]| {
        let mut sectors = content.concat();
        sectors.resize(sectors.len().next_multiple_of(512), 0);
        let disk = Memory::from_bytes(512, sectors);
        block_on(options(&disk, fingerprints, false)).map(drop)
    };
    macro_rules! pem {
        ($name:literal) => {
            &include_bytes!(concat!("../../../tests/tls/", $name))[..]
        };
    }
    let (ca, key, own) = (pem!("ca.pem"), pem!("client.key"), pem!("client.pem"));
    assert_eq!(with(&[ca], &[]), Ok(()));
    assert_eq!(with(&[ca, key, own], &[]), Ok(()));
    assert_eq!(with(&[ca, pem!("server-sec1.key"), pem!("server.pem")], &[]), Ok(()));
    // A certificate in front of the key is one who is trusted, as are those of roots.
    let nothing = Err(Error::Identity(tls::Error::NoCertificate));
    assert_eq!(with(&[ca, own, key], &[]), nothing);
    assert_eq!(with(&[key, own], &[]), Err(Error::Roots(tls::Error::NoCertificate)));
    assert_eq!(with(&[key, own], &[DIGITS]), Ok(()));
    let other = Err(Error::Identity(tls::Error::OtherKey));
    assert_eq!(with(&[ca, key, pem!("server.pem")], &[]), other);
    // One without its end has what follows in it.
    let cut = &key[..key.len() / 2];
    assert_eq!(with(&[ca, cut, own], &[]), nothing);
    let other_sort = Err(Error::Identity(tls::Error::NoKey));
    let rsa = b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(with(&[ca, rsa, own], &[]), other_sort);
    assert_eq!(with(&[ca], &["x"]), Err(Error::Fingerprint("x")));
}
