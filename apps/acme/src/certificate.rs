//! Requests for certificates, and what comes of them.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::pkcs8::EncodePublicKey;
use p256::pkcs8::der::asn1::{BitString, Ia5String, OctetString, SetOfVec};
use p256::pkcs8::der::oid::AssociatedOid;
use p256::pkcs8::der::oid::ObjectIdentifier;
use p256::pkcs8::der::{self, Decode, Encode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use xenith::text::Escaped;
use xenith::tls::When;

/// ecdsa-with-SHA256 (RFC 5758, section 3.2).
const ECDSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Certificates of a chain at most.
const LONGEST: usize = 10;

/// Says why a chain of certificates is not one for the site.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// There is no certificate in PEM form, or more than ten.
    None,
    /// The first one cannot be read.
    Malformed,
    /// It is for another key.
    OtherKey,
    /// It is not for this name.
    OtherName(String),
    /// It was valid until then, and now it is later.
    Expired {
        /// The end of its validity.
        until: When,
        /// The time of this machine.
        now: When,
    },
    /// It is of a sort that TLS does not take.
    Unusable,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "there are not 1 to {LONGEST} certificates in PEM form"),
            Self::Malformed => f.write_str("it cannot be read"),
            Self::OtherKey => f.write_str("it is for another key"),
            Self::Unusable => f.write_str("TLS does not take it"),
            Self::OtherName(name) => write!(f, "it is not for {}", Escaped(name.as_bytes())),
            Self::Expired { until, now } => write!(
                f,
                "it has expired: it was valid until {until}, and this machine's clock says {now}"
            ),
        }
    }
}

impl core::error::Error for Flaw {}

/// What a chain of certificates says of the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    names: Vec<String>,
    /// When it begins and ends to be valid, in seconds since 1970.
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Facts {
    /// Reads a chain in PEM form, whose first certificate has to be for this key.
    pub(crate) fn read(pem: &[u8], key: &p256::SecretKey) -> Result<Self, Flaw> {
        let all: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(pem).take(LONGEST + 1).collect();
        let all = all.ok().filter(|all| (1..=LONGEST).contains(&all.len())).ok_or(Flaw::None)?;
        let first = all.first().ok_or(Flaw::None)?;
        let first = x509_cert::Certificate::from_der(first).map_err(|_| Flaw::Malformed)?;
        let inside = first.tbs_certificate();
        let ours = SubjectPublicKeyInfoOwned::from_key(&key.public_key());
        if ours.ok().as_ref() != Some(inside.subject_public_key_info()) {
            return Err(Flaw::OtherKey);
        }
        let names = inside.get_extension::<SubjectAltName>().map_err(|_| Flaw::Malformed)?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let name = |name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().into()),
            _ => None,
        };
        let validity = inside.validity();
        Ok(Self {
            names: names.into_iter().filter_map(name).collect(),
            from: validity.not_before.to_unix_duration().as_secs(),
            until: validity.not_after.to_unix_duration().as_secs(),
        })
    }

    /// For how many seconds it is valid.
    pub(crate) const fn validity(&self) -> u64 {
        self.until.saturating_sub(self.from)
    }

    /// Returns the first of `domains` that the certificate is not for.
    pub(crate) fn missing<'a>(&self, domains: &'a [String]) -> Option<&'a String> {
        let is_named = |domain: &str| self.names.iter().any(|it| it.eq_ignore_ascii_case(domain));
        domains.iter().find(|domain| !is_named(domain))
    }

    /// Looks whether the certificate is one for `domains`, now.
    pub(crate) fn check(&self, domains: &[String], now: u64) -> Result<(), Flaw> {
        if let Some(domain) = self.missing(domains) {
            return Err(Flaw::OtherName(domain.clone()));
        }
        if self.until <= now {
            return Err(Flaw::Expired { until: When(self.until), now: When(now) });
        }
        Ok(())
    }
}

/// Makes a request for a certificate for `domains` (PKCS #10, RFC 2986), in DER form: without a
/// subject, and the names where clients look for them.
pub(crate) fn request(key: &p256::SecretKey, domains: &[String]) -> der::Result<Vec<u8>> {
    let names: der::Result<Vec<_>> =
        domains.iter().map(|name| Ok(GeneralName::DnsName(Ia5String::new(name)?))).collect();
    let names = Extension {
        extn_id: SubjectAltName::OID,
        critical: false,
        extn_value: OctetString::new(SubjectAltName(names?).to_der()?)?,
    };
    let mut attributes = SetOfVec::new();
    attributes.insert(ExtensionReq(vec![names]).try_into()?)?;
    let public = key.public_key().to_public_key_der().map_err(|_| der::ErrorKind::Failed)?;
    let info = CertReqInfo {
        version: Version::V1,
        subject: Name::default(),
        public_key: public.decode_msg()?,
        attributes,
    };
    let signed: Result<DerSignature, _> = SigningKey::from(key).try_sign(&info.to_der()?);
    let signed = signed.map_err(|_| der::ErrorKind::Failed)?;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA, parameters: None };
    let signature = BitString::from_bytes(signed.as_bytes())?;
    CertReq { info, algorithm, signature }.to_der()
}
