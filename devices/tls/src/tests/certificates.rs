//! Whom one believes: each reason not to is an error of its own.

use super::*;

fn with(pem: &[u8]) -> ServerConfig {
    let identity = Identity::from_pem(pem, pem!("server.key")).unwrap();
    ServerOptions::new(identity).build().unwrap()
}

#[test]
fn each_flaw_of_a_certificate_has_an_error_that_says_what_and_when() {
    let of_client = Identity::from_pem(pem!("client.pem"), pem!("client.key")).unwrap();
    let of_client = ServerOptions::new(of_client).build().unwrap();
    for (server, name, text) in [
        (with(pem!("server.pem")), "other.lab", "the certificate is not for other.lab, but for "),
        (with(pem!("server.pem")), "10.0.0.3", "the certificate is not for 10.0.0.3, but for "),
        (
            with(pem!("expired.pem")),
            WWW,
            "the certificate has expired: it was valid until 2021-01-01 00:00 UTC, and this \
             machine's clock says 2",
        ),
        (
            with(pem!("early.pem")),
            WWW,
            "the certificate is not yet valid: it is from 2089-01-01 00:00 UTC on, and this \
             machine's clock says 2",
        ),
        (with(pem!("stranger.pem")), WWW, "the certificate is signed by nobody who is trusted"),
        (of_client, "client.lab", "the certificate is for another purpose"),
    ] {
        let [client, server] = shaken(server, client(), name);
        let said = std::format!("{}", client.unwrap_err());
        assert!(said.starts_with(text), "{said}");
        assert!(matches!(server, Err(Error::Alert(_))), "{text}: {server:?}");
    }
}

#[test]
fn keys_and_certificates_that_do_not_fit_are_refused_when_they_are_read() {
    let read = |pem: &[u8], key: &[u8]| Identity::from_pem(pem, key).map(drop);
    let (pem, key) = (pem!("server.pem"), pem!("server.key"));
    assert_eq!(read(pem, key), Ok(()));
    let sec1 = pem!("server-sec1.key");
    assert_eq!(read(pem, sec1), Ok(()));
    // As `openssl ecparam -genkey` writes it.
    let before = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    assert_eq!(read(pem, &[&before[..], &sec1[..]].concat()), Ok(()));
    assert_eq!(read(pem, &sec1[..100]), Err(Error::NoKey));
    // In lines of another length, and behind what is no UTF-8.
    let [begin, text @ .., end] = &key.split_inclusive(|it| *it == b'\n').collect::<Vec<_>>()[..]
    else {
        panic!("the key has no lines")
    };
    let text = text.concat();
    let text: Vec<u8> = text.into_iter().filter(|it| *it != b'\n').collect();
    for length in [7, 76, 1000] {
        let lines = text.chunks(length).collect::<Vec<_>>().join(&b"\r\n"[..]);
        let other = [b"name: \xe4\n", *begin, &lines[..], b" \n", *end].concat();
        assert_eq!(read(pem, &other), Ok(()), "{length}");
    }
    assert_eq!(read(pem, pem!("client.key")), Err(Error::OtherKey));
    assert_eq!(read(pem, pem!("edwards.key")), Err(Error::OtherKey));
    assert_eq!(read(key, key), Err(Error::NoCertificate));
    assert_eq!(read(b"", key), Err(Error::NoCertificate));
    assert_eq!(read(pem, pem), Err(Error::NoKey));
    assert_eq!(read(pem, &key[..100]), Err(Error::NoKey));
    assert_eq!(Trust::pem(b"nothing").map(drop), Err(Error::NoCertificate));
    let connection = client().connection("no name").map(drop);
    assert_eq!(connection, Err(Error::BadName));
}

#[test]
fn who_shows_the_certificate_of_another_is_refused() {
    let other = Identity::from_pem(pem!("client.pem"), pem!("client.key")).unwrap();
    let pretender = Identity::pretending(pem!("server.pem"), &other);
    for tls12 in [false, true] {
        let server = ServerOptions::new(pretender.clone()).tls12().build().unwrap();
        let mut client = client();
        if tls12 {
            client.only_tls12();
        }
        let [client, server] = shaken(server, client, WWW);
        assert_eq!(client, Err(Error::NotItsKey));
        assert!(matches!(server, Err(Error::Alert(_))), "{server:?}");
    }
}

#[test]
fn chains_to_p_384_and_rsa_are_followed() {
    for (root, certificate) in [
        (&pem!("p384-ca.pem")[..], &pem!("by-p384.pem")[..]),
        (pem!("rsa-ca.pem"), pem!("by-rsa.pem")),
    ] {
        let both = shaken(with(certificate), trusting(root).build().unwrap(), WWW);
        assert_eq!(both, [Ok(()), Ok(())]);
        // One that says that it is by the same, and is not.
        let last = certificate.len() - "\n-----END CERTIFICATE-----\n".len() - 6;
        let mut forged = certificate.to_vec();
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let [refused, _] = shaken(with(&forged), trusting(root).build().unwrap(), WWW);
        assert_eq!(refused, Err(Error::UnknownIssuer));
    }
    let client = trusting(pem!("p384-ca.pem")).build().unwrap();
    let [stranger, _] = shaken(with(pem!("server.pem")), client, WWW);
    assert_eq!(stranger, Err(Error::UnknownIssuer));
}

#[test]
fn servers_may_ask_clients_who_they_are() {
    let asking = || ServerOptions::new(identity()).clients(pem!("ca.pem")).unwrap();
    let config = || asking().build().unwrap();
    let [client, server] = shaken(config(), client(), WWW);
    assert!(matches!(client, Err(Error::Alert(_))), "{client:?}");
    assert_eq!(server, Err(Error::NoClientCertificate));
    let shows = |pem: &[u8], key: &[u8]| {
        let identity = Identity::from_pem(pem, key).unwrap();
        trusting(pem!("ca.pem")).identity(identity).build().unwrap()
    };
    let good = shows(pem!("client.pem"), pem!("client.key"));
    assert_eq!(shaken(config(), good, WWW), [Ok(()), Ok(())]);
    // Each time, as a session would outlive the certificate.
    for config in [config(), asking().tls12().build().unwrap()] {
        let mut old = trusting(pem!("ca.pem")).tls12();
        old = old.identity(Identity::from_pem(pem!("client.pem"), pem!("client.key")).unwrap());
        let client = old.build().unwrap();
        on_a_cable(async |near, far| {
            let listener = Server::new(far, config).bind(port()).await.unwrap();
            for _ in 0..2 {
                let stream = near.connect(port()).await.unwrap();
                let tls = Tls::connect(stream, WWW, &client).unwrap();
                let served = spawn(echo(listener.accept().await.unwrap().0));
                tls.handshake().await.unwrap();
                assert!(!tls.is_resumed());
                assert_eq!(exchange(tls, b"who").await.unwrap(), b"who");
                served.await.unwrap();
            }
        });
    }
    let of_server = shows(pem!("server.pem"), pem!("server.key"));
    assert_eq!(shaken(config(), of_server, WWW)[1], Err(Error::WrongPurpose));
    let others = ServerOptions::new(identity()).clients(pem!("other-ca.pem")).unwrap();
    let good = shows(pem!("client.pem"), pem!("client.key"));
    assert_eq!(shaken(others.build().unwrap(), good, WWW)[1], Err(Error::UnknownIssuer));
}

#[test]
fn a_fingerprint_is_trusted_whatever_the_name() {
    use sha2::{Digest, Sha256};
    let der = trust::certificates_in(pem!("expired.pem")).unwrap();
    let print: [u8; 32] = Sha256::digest(&der[0]).into();
    let by = |print| ClientOptions::new(Trust::Fingerprints(Vec::from([print]))).build().unwrap();
    assert_eq!(shaken(with(pem!("expired.pem")), by(print), "any.lab"), [Ok(()), Ok(())]);
    let [client, _] = shaken(with(pem!("server.pem")), by(print), WWW);
    assert_eq!(client, Err(Error::WrongFingerprint));
}

#[test]
fn what_is_printed_tells_no_key() {
    let printed = std::format!("{:?} {:?}", identity(), server());
    assert!(printed.contains("Private(ECDSA_NISTP256_SHA256)"), "{printed}");
}

#[test]
fn an_rsa_key_that_cannot_be_used_is_told_from_a_wrong_signature() {
    use rustls::client::danger::ServerCertVerifier;
    use rustls::internal::msgs::codec::{Codec, Reader};
    let verifier = trust::Fingerprints {
        all: Vec::new(),
        algorithms: provider::verifying(false).signature_verification_algorithms,
    };
    // By rsa_pss_rsae_sha256.
    let signed = [&[8, 4, 1, 0][..], &[7; 256]].concat();
    let signed = rustls::DigitallySignedStruct::read(&mut Reader::init(&signed)).unwrap();
    let verified = |pem: &[u8]| {
        let der = trust::certificates_in(pem).unwrap();
        let verified = verifier.verify_tls13_signature(b"x", &der[0], &signed);
        verified.map(drop).map_err(Error::from)
    };
    assert_eq!(verified(pem!("short-rsa.pem")), Err(Error::UnusableKey));
    assert_eq!(verified(pem!("rsa-ca.pem")), Err(Error::NotItsKey));
}

#[test]
fn a_root_with_an_rsa_key_that_cannot_be_used_is_told_from_one_that_has_signed_nothing() {
    let root = pem!("short-rsa.pem");
    let [refused, _] = shaken(with(pem!("by-short-rsa.pem")), trusting(root).build().unwrap(), WWW);
    assert_eq!(refused, Err(Error::UnusableKey));
    // Also where others are trusted beside it, whichever stands first.
    for both in [[&root[..], pem!("ca.pem")], [pem!("ca.pem"), &root[..]]] {
        let both = both.concat();
        let client = || trusting(&both).build().unwrap();
        assert_eq!(
            shaken(with(pem!("by-short-rsa.pem")), client(), WWW)[0],
            Err(Error::UnusableKey)
        );
        assert_eq!(shaken(with(pem!("server.pem")), client(), WWW)[0], Ok(()));
        assert_eq!(shaken(with(pem!("stranger.pem")), client(), WWW)[0], Err(Error::UnknownIssuer));
    }
    // As roots of clients likewise.
    let asking = ServerOptions::new(identity()).clients(root).unwrap().build().unwrap();
    let shows = |pem: &[u8]| {
        let identity = Identity::from_pem(pem, pem!("client.key")).unwrap();
        trusting(pem!("ca.pem")).identity(identity).build().unwrap()
    };
    let by_it = shows(pem!("client-by-short-rsa.pem"));
    assert_eq!(shaken(asking.clone(), by_it, WWW)[1], Err(Error::UnusableKey));
    assert_eq!(shaken(asking, shows(pem!("client.pem")), WWW)[1], Err(Error::UnknownIssuer));
}
