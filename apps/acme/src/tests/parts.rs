//! Parts by themselves, and what RFCs say of them.

use super::DIRECTORY;
use super::ca::{BASE, signed};
use crate::Flaw;
use crate::certificate::{Facts, request};
use crate::config::{Config, Misuse};
use crate::error::Problem;
use crate::jose::{Account, new_key, thumbprint};
use crate::session::{LONGEST, after};
use core::time::Duration;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use std::string::{String, ToString};
use std::{format, vec};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    // RFC 7638, section 3.1, and RFC 8037, appendix A.3.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
             BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0\
             _FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh\
             AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let rsa = [("e", "AQAB"), ("kty", "RSA"), ("n", n)];
    assert_eq!(thumbprint(&rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    let okp = [("crv", "Ed25519"), ("kty", "OKP"), ("x", x)];
    assert_eq!(thumbprint(&okp), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn signatures_are_those_of_rfc_7515() {
    use base64ct::{Base64UrlUnpadded, Encoding};
    // Appendix A.3: the key, what is signed, and one of its signatures.
    let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    let text = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leG\
                FtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let theirs = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg\
                  6NU1Q";
    let decoded = |text| Base64UrlUnpadded::decode_vec(text).unwrap();
    let key = p256::SecretKey::from_slice(&decoded(d)).unwrap();
    let account = Account::new(&key);
    let jwk = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    let signed = account.sign("n", "u", "").unwrap();
    let header = signed.split('"').nth(3).unwrap();
    let header = String::from_utf8(decoded(header)).unwrap();
    assert_eq!(header, format!(r#"{{"alg":"ES256","jwk":{jwk},"nonce":"n","url":"u"}}"#));
    let public = VerifyingKey::from(&SigningKey::from(&key));
    let ours = account.signature(text).unwrap();
    for signature in [theirs, &ours] {
        let signature = Signature::from_slice(&decoded(signature)).unwrap();
        public.verify(text.as_bytes(), &signature).unwrap();
        assert!(public.verify(&text.as_bytes()[1..], &signature).is_err());
    }
}

#[test]
fn a_chain_has_to_be_one() {
    let (key, by) = (new_key().unwrap(), SigningKey::from(&new_key().unwrap()));
    let public = SubjectPublicKeyInfoOwned::from_key(&key.public_key()).unwrap();
    let chain = signed(&by, public, vec!["A.lab".into()], 1_800_000_000, 1_800_000_009);
    let facts = Facts::read(chain.as_bytes(), &key).unwrap();
    assert_eq!((facts.from, facts.until), (1_800_000_000, 1_800_000_009));
    assert_eq!(facts.check(&["a.lab".into()], 1_800_000_008), Ok(()));
    assert!(matches!(facts.check(&[], 1_800_000_009), Err(Flaw::Expired { .. })));
    let read = |text: &str| Facts::read(text.as_bytes(), &key).err();
    assert_eq!(read(""), Some(Flaw::None));
    assert_eq!(read(&chain.repeat(10)), None);
    assert_eq!(read(&chain.repeat(11)), Some(Flaw::None));
    assert_eq!(read(&chain[..200]), Some(Flaw::None));
    assert_eq!(read(&chain.replacen("MII", "MIM", 1)), Some(Flaw::Malformed));
    assert!(request(&key, &["a.lab".into()]).unwrap().len() < 400);
}

#[test]
fn pauses_are_read_in_both_forms_and_bounded() {
    assert_eq!(after(b"120"), Some(Duration::from_secs(120)));
    assert_eq!(after(b"Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    assert_eq!(after(b"Wed, 21 Oct 2099 07:28:00 GMT"), Some(LONGEST));
    assert_eq!(after(b"99999999999"), Some(LONGEST));
    assert_eq!(after(b"soon"), None);
}

#[test]
fn arguments_that_cannot_be_used_are_refused() {
    let with = |domains: &[&'static str], directory, terms, contact: &[&'static str]| {
        Config::new(domains, directory, terms, contact, None).map(drop)
    };
    let domain = |name| match with(&[name], DIRECTORY, None, &[]) {
        Err(Misuse::Domain(_, why)) => why,
        other => panic!("{name}: {other:?}"),
    };
    assert!(domain("*.a.lab").contains("dns-01"));
    assert!(domain("10.0.0.1").contains("address"));
    for name in ["", "a..b", "-a.lab", "a-.lab", "a b", "ä.lab", "a.lab.", "http://a.lab"] {
        assert!(domain(name).contains("letters"), "{name}");
    }
    assert_eq!(with(&[], DIRECTORY, None, &[]), Err(Misuse::NoDomain));
    for directory in ["http://ca/", "ca", ""] {
        assert_eq!(with(&["a"], directory, None, &[]), Err(Misuse::Directory(directory)));
    }
    assert_eq!(with(&["a"], DIRECTORY, Some("yes"), &[]), Err(Misuse::Terms("yes")));
    for mail in ["a", "@b", "a@", "a@b,c@d", "a@b?x", "a @b"] {
        assert_eq!(with(&["a"], DIRECTORY, None, &[mail]), Err(Misuse::Contact(mail)));
    }
    assert!(with(&["a", "xn--4ca.lab"], BASE, Some("agree"), &["mailto:a@b", "a@b"]).is_ok());
}

#[test]
fn a_problem_is_shown_in_part() {
    let problem = Problem { kind: "x".repeat(500), ..Problem::default() };
    assert_eq!(problem.to_string(), format!("{}...", "x".repeat(400)));
    assert_eq!(Problem::default().to_string(), "about:blank");
}
