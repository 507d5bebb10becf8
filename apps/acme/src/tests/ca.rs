//! A CA in memory: RFC 8555 in little, which can be told to misbehave.

use crate::jose::{base64url, thumbprint};
use base64ct::{Base64UrlUnpadded, Encoding};
use embedded_io_async::Read as _;
use p256::ecdsa::signature::Verifier;
use p256::ecdsa::{DerSignature, Signature, SigningKey, VerifyingKey};
use p256::pkcs8::der::asn1::{Ia5String, UtcTime};
use p256::pkcs8::der::referenced::OwnedToRef;
use p256::pkcs8::der::{Decode, Encode};
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec::Vec;
use x509_cert::TbsCertificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, ExtensionReq};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use xenith::http::client::{Limits, get};
use xenith::http::{self, Exchange, Status, json};

/// What is asked of it that it does wrong.
#[derive(Default)]
pub(super) struct Mood {
    /// How many nonces it refuses.
    pub(super) bad_nonces: Cell<u32>,
    /// Requests to paths that begin so are answered so: a status, a type, and `Retry-After`.
    pub(super) refuses: Cell<Option<(&'static str, u16, &'static str, &'static str)>>,
    /// It never answers those.
    pub(super) silent: Cell<Option<&'static str>>,
    /// It signs another key, or for another name.
    pub(super) other_key: Cell<bool>,
    pub(super) other_name: Cell<bool>,
    /// Its certificates are of a megabyte.
    pub(super) huge: Cell<bool>,
    /// Its orders are never done.
    pub(super) slow: Cell<bool>,
    /// It looks for proofs, and says it found none.
    pub(super) blind: Cell<bool>,
    /// It has no terms.
    pub(super) lenient: Cell<bool>,
    /// It wants accounts of elsewhere.
    pub(super) external: Cell<bool>,
}

struct Order {
    names: Vec<String>,
    proven: Vec<bool>,
    status: &'static str,
    certificate: String,
}

pub(super) struct Ca<N> {
    pub(super) net: N,
    pub(super) mood: Mood,
    /// The paths that were asked for.
    pub(super) heard: RefCell<Vec<String>>,
    nonces: RefCell<Vec<String>>,
    accounts: RefCell<Vec<(VerifyingKey, String)>>,
    orders: RefCell<Vec<Order>>,
    key: SigningKey,
    /// For how many seconds certificates are valid.
    pub(super) validity: Cell<u64>,
    clock: fn() -> Duration,
}

#[derive(Deserialize)]
struct Jws {
    protected: String,
    payload: String,
    signature: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    jwk: Option<BTreeMap<String, String>>,
    kid: Option<String>,
    nonce: String,
    url: String,
}

struct Leaf(Vec<String>);

impl BuilderProfile for Leaf {
    fn get_issuer(&self, _: &Name) -> Name {
        "CN=memory".parse().unwrap()
    }

    fn get_subject(&self) -> Name {
        Name::default()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let name = |it: &String| GeneralName::DnsName(Ia5String::new(it).unwrap());
        let names = SubjectAltName(self.0.iter().map(name).collect());
        let extn_value = p256::pkcs8::der::asn1::OctetString::new(names.to_der()?)?;
        let extn_id = p256::pkcs8::der::oid::ObjectIdentifier::new_unwrap("2.5.29.17");
        Ok(std::vec![Extension { extn_id, critical: true, extn_value }])
    }
}

/// Signs a certificate, in PEM form.
pub(super) fn signed(
    by: &SigningKey,
    key: SubjectPublicKeyInfoOwned,
    names: Vec<String>,
    from: u64,
    until: u64,
) -> String {
    let time = |it| Time::UtcTime(UtcTime::from_unix_duration(Duration::from_secs(it)).unwrap());
    let validity = Validity::new(time(from), time(until));
    let builder = CertificateBuilder::new(Leaf(names), SerialNumber::from(7_u32), validity, key);
    let certificate = builder.unwrap().build::<_, DerSignature>(by).unwrap().to_der().unwrap();
    let text = base64ct::Base64::encode_string(&certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|it| str::from_utf8(it).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn decoded(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}

/// Whom it is asked as: where the guest finds it.
pub(super) const BASE: &str = "https://www.lab";

impl<N: xenith::ip::Tcp + xenith::ip::Resolve> Ca<N> {
    pub(super) fn new(net: N, clock: fn() -> Duration) -> Self {
        let key = SigningKey::from(&crate::jose::new_key().unwrap());
        Self {
            net,
            mood: Mood::default(),
            heard: RefCell::default(),
            nonces: RefCell::default(),
            accounts: RefCell::default(),
            orders: RefCell::default(),
            key,
            validity: Cell::new(90 * 86_400),
            clock,
        }
    }

    /// How many orders there were.
    pub(super) fn ordered(&self) -> usize {
        self.orders.borrow().len()
    }

    /// How many accounts there are.
    pub(super) fn accounts(&self) -> usize {
        self.accounts.borrow().len()
    }

    /// How often paths that begin so were asked for.
    pub(super) fn asked(&self, path: &str) -> usize {
        self.heard.borrow().iter().filter(|it| it.starts_with(path)).count()
    }

    fn nonce(&self) -> String {
        let nonce = format!("nonce-{}", self.nonces.borrow().len());
        self.nonces.borrow_mut().push(nonce.clone());
        nonce
    }

    async fn say(
        &self,
        exchange: &mut Exchange<'_>,
        status: u16,
        location: &str,
        later: &str,
        body: &str,
    ) -> Result<(), http::Error> {
        let nonce = self.nonce();
        let mut fields = std::vec![("Replay-Nonce", &*nonce)];
        if !location.is_empty() {
            fields.push(("Location", location));
        }
        if !later.is_empty() {
            fields.push(("Retry-After", later));
        }
        exchange.respond(Status(status), &fields, body.as_bytes()).await
    }

    async fn problem(
        &self,
        exchange: &mut Exchange<'_>,
        status: u16,
        kind: &str,
        later: &str,
    ) -> Result<(), http::Error> {
        let body = format!(
            r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"so it is \u001b[2J","status":{status}}}"#
        );
        self.say(exchange, status, "", later, &body).await
    }

    pub(super) async fn handle(&self, exchange: &mut Exchange<'_>) -> Result<(), http::Error> {
        let path = exchange.request().path().to_string();
        self.heard.borrow_mut().push(path.clone());
        if self.mood.silent.get().is_some_and(|it| path.starts_with(it)) {
            xenith::time::sleep(Duration::from_secs(100_000)).await;
        }
        match self.mood.refuses.get() {
            Some((at, status, kind, later)) if path.starts_with(at) => {
                return self.problem(exchange, status, kind, later).await;
            }
            _ => {}
        }
        match &*path {
            "/directory" => {
                let terms = r#""termsOfService":"https://www.lab/terms","#;
                let terms = if self.mood.lenient.get() { "" } else { terms };
                let external = self.mood.external.get();
                let body = format!(
                    r#"{{"newNonce":"{BASE}/nonce","newAccount":"{BASE}/account","newOrder":"{BASE}/order",
                    "meta":{{{terms}"externalAccountRequired":{external}}},"x":[1]}}"#
                );
                self.say(exchange, 200, "", "", &body).await
            }
            "/nonce" => self.say(exchange, 200, "", "", "").await,
            _ => self.asked_for(exchange, &path).await,
        }
    }

    async fn asked_for(&self, exchange: &mut Exchange<'_>, path: &str) -> Result<(), http::Error> {
        assert_eq!(exchange.request().field("Content-Type"), Some(&b"application/jose+json"[..]));
        let body = exchange.body().collect(1 << 16).await?;
        let jws: Jws = json::parse(&body).unwrap();
        let header: Header = json::parse(&decoded(&jws.protected)).unwrap();
        assert_eq!((&*header.alg, &*header.url), ("ES256", &*format!("{BASE}{path}")));
        let known = self.nonces.borrow().iter().position(|it| *it == header.nonce).unwrap();
        // None is taken twice.
        self.nonces.borrow_mut()[known] = String::from("used");
        if let bad @ 1.. = self.mood.bad_nonces.get() {
            self.mood.bad_nonces.set(bad - 1);
            return self.problem(exchange, 400, "badNonce", "").await;
        }
        let signature = Signature::from_slice(&decoded(&jws.signature)).unwrap();
        let text = format!("{}.{}", jws.protected, jws.payload);
        let payload = String::from_utf8(decoded(&jws.payload)).unwrap();
        if path == "/account" {
            assert!(header.kid.is_none());
            return self.account(exchange, &header.jwk.unwrap(), &text, &signature, &payload).await;
        }
        assert!(header.jwk.is_none());
        let number = header.kid.unwrap();
        let number: usize = number.rsplit('/').next().unwrap().parse().unwrap();
        let (key, thumbprint) = self.accounts.borrow()[number].clone();
        key.verify(text.as_bytes(), &signature).unwrap();
        let mut parts = path.split('/').skip(1);
        let kind = parts.next().unwrap();
        let mut part = || parts.next().map(|it| it.parse::<usize>().unwrap());
        match (kind, part(), part()) {
            ("order", None, _) => self.new_order(exchange, &payload).await,
            ("order", Some(order), _) => {
                let body = self.order(order);
                self.say(exchange, 200, "", "1", &body).await
            }
            ("proof", Some(order), Some(name)) => {
                let body = self.proof(order, name);
                self.say(exchange, 200, "", "", &body).await
            }
            ("challenge", Some(order), Some(name)) => {
                assert_eq!(payload, "{}");
                self.look(order, name, &thumbprint).await;
                self.say(exchange, 200, "", "", "{}").await
            }
            ("finalize", Some(order), _) => {
                self.issue(order, &payload);
                let body = self.order(order);
                self.say(exchange, 200, "", "", &body).await
            }
            ("certificate", Some(order), _) => {
                let mut chain = self.orders.borrow()[order].certificate.clone();
                if self.mood.huge.get() {
                    chain.push_str(&"\n".repeat(1 << 20));
                }
                self.say(exchange, 200, "", "", &chain).await
            }
            _ => self.problem(exchange, 404, "malformed", "").await,
        }
    }

    async fn account(
        &self,
        exchange: &mut Exchange<'_>,
        jwk: &BTreeMap<String, String>,
        text: &str,
        signature: &Signature,
        payload: &str,
    ) -> Result<(), http::Error> {
        let point = [&[4][..], &decoded(&jwk["x"]), &decoded(&jwk["y"])].concat();
        let key = VerifyingKey::from_sec1_bytes(&point).unwrap();
        key.verify(text.as_bytes(), signature).unwrap();
        let contact = r#"{"termsOfServiceAgreed":true,"contact":["mailto:admin@site.lab"]}"#;
        assert!([contact, r#"{"termsOfServiceAgreed":true}"#].contains(&payload), "{payload}");
        let known = self.accounts.borrow().iter().position(|it| it.0 == key);
        let number = known.unwrap_or_else(|| {
            let members: Vec<_> = jwk.iter().map(|(name, it)| (&**name, &**it)).collect();
            self.accounts.borrow_mut().push((key, thumbprint(&members)));
            self.accounts() - 1
        });
        let status = if known.is_some() { 200 } else { 201 };
        self.say(exchange, status, &format!("{BASE}/account/{number}"), "", "{}").await
    }

    async fn new_order(
        &self,
        exchange: &mut Exchange<'_>,
        payload: &str,
    ) -> Result<(), http::Error> {
        #[derive(Deserialize)]
        struct New {
            identifiers: Vec<BTreeMap<String, String>>,
        }
        let new: New = json::parse(payload.as_bytes()).unwrap();
        let names: Vec<_> = new.identifiers.iter().map(|it| it["value"].clone()).collect();
        let (proven, number) = (std::vec![false; names.len()], self.ordered());
        let new = Order { names, proven, status: "pending", certificate: String::new() };
        self.orders.borrow_mut().push(new);
        let body = self.order(number);
        self.say(exchange, 201, &format!("{BASE}/order/{number}"), "", &body).await
    }

    fn order(&self, number: usize) -> String {
        let orders = self.orders.borrow();
        let order = &orders[number];
        let list = |each: &dyn Fn(usize) -> String| {
            (0..order.names.len()).map(each).collect::<Vec<_>>().join(",")
        };
        let names = list(&|at| format!(r#"{{"type":"dns","value":"{}"}}"#, order.names[at]));
        let proofs = list(&|at| format!(r#""{BASE}/proof/{number}/{at}""#));
        let certificate = match order.certificate.is_empty() {
            true => String::new(),
            false => format!(r#","certificate":"{BASE}/certificate/{number}""#),
        };
        format!(
            r#"{{"status":"{}","identifiers":[{names}],"authorizations":[{proofs}],
            "finalize":"{BASE}/finalize/{number}"{certificate}}}"#,
            order.status
        )
    }

    fn proof(&self, number: usize, at: usize) -> String {
        let orders = self.orders.borrow();
        let order = &orders[number];
        let status = match (order.proven[at], order.status) {
            (true, _) => "valid",
            (false, "invalid") => "invalid",
            _ => "pending",
        };
        format!(
            r#"{{"status":"{status}","identifier":{{"type":"dns","value":"{}"}},"challenges":[
            {{"type":"dns-01","url":"{BASE}/no","status":"pending","token":"x"}},
            {{"type":"http-01","url":"{BASE}/challenge/{number}/{at}","status":"{status}",
            "token":"token-{number}-{at}","error":{{"type":"urn:ietf:params:acme:error:connection",
            "detail":"nobody is there"}}}}]}}"#,
            order.names[at]
        )
    }

    /// Looks for a proof.
    async fn look(&self, number: usize, at: usize, thumbprint: &str) {
        let name = self.orders.borrow()[number].names[at].clone();
        let token = format!("token-{number}-{at}");
        let url = format!("http://{name}/.well-known/acme-challenge/{token}");
        let limits = Limits::default();
        let found = get(&self.net, &url, &limits, async |_, answer, content| {
            let mut found = std::vec![0; 1000];
            let count = content.read(&mut found).await?;
            found.truncate(count);
            Ok((answer.status().0, String::from_utf8(found).unwrap()))
        });
        let right = found.await == Ok((200, format!("{token}.{thumbprint}")));
        let mut orders = self.orders.borrow_mut();
        let order = &mut orders[number];
        match right && !self.mood.blind.get() {
            true => order.proven[at] = true,
            false => order.status = "invalid",
        }
        if order.status == "pending" && order.proven.iter().all(|it| *it) {
            order.status = "ready";
        }
    }

    fn issue(&self, number: usize, payload: &str) {
        let asked: BTreeMap<String, String> = json::parse(payload.as_bytes()).unwrap();
        let request = CertReq::from_der(&decoded(&asked["csr"])).unwrap();
        let key = VerifyingKey::try_from(request.info.public_key.owned_to_ref()).unwrap();
        let signature = DerSignature::from_bytes(request.signature.raw_bytes()).unwrap();
        key.verify(&request.info.to_der().unwrap(), &signature).unwrap();
        let extensions = request.info.attributes.get(0).unwrap().values.get(0).unwrap();
        let extensions = ExtensionReq::from_der(&extensions.to_der().unwrap()).unwrap().0;
        let names = SubjectAltName::from_der(extensions[0].extn_value.as_bytes()).unwrap().0;
        let names: Vec<_> = names
            .iter()
            .map(|it| match it {
                GeneralName::DnsName(name) => name.to_string(),
                _ => String::new(),
            })
            .collect();
        let mut orders = self.orders.borrow_mut();
        let order = &mut orders[number];
        assert_eq!((order.status, &names), ("ready", &order.names));
        if self.mood.slow.get() {
            order.status = "processing";
            return;
        }
        let mut names = names;
        if self.mood.other_name.get() {
            names[0] = String::from("other.lab");
        }
        let mut public = request.info.public_key;
        if self.mood.other_key.get() {
            let other = crate::jose::new_key().unwrap().public_key();
            public = SubjectPublicKeyInfoOwned::from_key(&other).unwrap();
        }
        let from = (self.clock)().as_secs();
        order.certificate = signed(&self.key, public, names, from, from + self.validity.get());
        order.status = "valid";
    }

    /// An order that the CA was slow with is done now.
    pub(super) fn finish(&self, number: usize) {
        self.orders.borrow_mut()[number].status = "ready";
    }
}

#[test]
fn texts_are_coded_without_padding() {
    assert_eq!(base64url(&[0xFB, 0xFF]), "-_8");
}
