//! Whom a client trusts.

use crate::{Error, provider};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::iter;
use core::slice::from_ref;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, anchor_from_trusted_cert};

/// Whom a client trusts to be the host that it asks for.
#[derive(Debug)]
pub enum Trust {
    /// Who has a certificate for that name that one of these has signed.
    Roots(RootCertStore),
    /// Who has one of these certificates, by SHA-256 of its DER form, whatever names it has and
    /// however old it is.
    Fingerprints(Vec<[u8; 32]>),
}

impl Trust {
    /// Trusts whom Mozilla's list trusts, as it was when the image was built. It is some 60 KB.
    #[must_use]
    pub fn public() -> Self {
        Self::Roots(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() })
    }

    /// Trusts those whom the certificates of a file in PEM form have certified.
    ///
    /// # Errors
    /// [`Error::NoCertificate`], [`Error::BadCertificate`].
    pub fn pem(pem: &[u8]) -> Result<Self, Error> {
        roots(certificates_in(pem)?).map(Self::Roots)
    }
}

/// The certificates of a file in PEM form.
pub(crate) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(Error::NoCertificate)
}

/// Makes roots of certificates.
pub(crate) fn roots(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// Whether no signature is verified by the key of one who has certified something.
fn is_unusable(by: &TrustAnchor<'_>) -> bool {
    provider::is_unusable_rsa(&by.subject_public_key_info)
}

/// Tells a key that cannot be used from a signature that is wrong, which both are
/// [`CertificateError::BadSignature`].
fn told<T>(
    verified: Result<T, rustls::Error>,
    signers: &[CertificateDer<'_>],
) -> Result<T, rustls::Error> {
    let unusable = |signer| anchor_from_trusted_cert(signer).is_ok_and(|it| is_unusable(&it));
    match verified {
        Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
            if signers.iter().any(unusable) =>
        {
            Err(rustls::Error::Other(OtherError()))
        }
        verified => verified,
    }
}

/// Tells what is wrong with a chain. Where a signature in it is, who signed has the name of one who
/// is trusted, and another key, or one that cannot be used; of a handshake that somebody else has
/// signed that is another error.
fn known<T>(
    verified: Result<T, rustls::Error>,
    roots: &RootCertStore,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<T, rustls::Error> {
    let by_unusable_root = |certificate| {
        EndEntityCert::try_from(certificate).is_ok_and(|it| {
            let mut named = roots.roots.iter().filter(|root| *root.subject == *it.issuer());
            named.any(is_unusable)
        })
    };
    told(verified, intermediates).map_err(|error| match error {
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            if iter::once(end_entity).chain(intermediates).any(by_unusable_root) {
                rustls::Error::Other(OtherError())
            } else {
                CertificateError::UnknownIssuer.into()
            }
        }
        error => error,
    })
}

/// What each verifier says of the signature in a handshake, by its `algorithms`.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let verified = verify_tls12_signature(message, cert, dss, &self.algorithms);
            told(verified, from_ref(cert))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let verified = verify_tls13_signature(message, cert, dss, &self.algorithms);
            told(verified, from_ref(cert))
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Checks that a chain leads to a root, for the name and at this time, and that the peer has the
/// private key.
#[derive(Debug)]
pub(crate) struct Chains {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) chains: Arc<WebPkiServerVerifier>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Chains {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.chains.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        known(verified, &self.roots, end_entity, intermediates)
    }

    signatures!();
}

/// Checks fingerprints, and that the peer has the private key.
#[derive(Debug)]
pub(crate) struct Fingerprints {
    pub(crate) all: Vec<[u8; 32]>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Fingerprints {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found: [u8; 32] = Sha256::digest(end_entity).into();
        if self.all.contains(&found) {
            return Ok(ServerCertVerified::assertion());
        }
        let found = found.map(|byte| alloc::format!("{byte:02x}")).concat();
        log::error!("the certificate's SHA-256 is {found}");
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    signatures!();
}

/// Checks clients' certificates, and that they have the private key.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) chains: Arc<dyn ClientCertVerifier>,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chains.verify_client_cert(end_entity, intermediates, now);
        known(verified, &self.roots, end_entity, intermediates)
    }

    signatures!();
}
