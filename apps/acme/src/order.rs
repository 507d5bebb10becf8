//! From an account to a certificate (RFC 8555, section 7.1).

use crate::certificate::{self, Facts, Flaw};
use crate::challenges::{self, Challenges};
use crate::config::Config;
use crate::error::{Error, Identifier, Problem};
use crate::jose::{self, Account, base64url};
use crate::session::{Answer, Session, is_base64url};
use crate::store::{Certificate, Order, Store};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use xenith::block::Block;
use xenith::http::json;
use xenith::ip::{Resolve, Tcp};
use xenith::time::{Instant, sleep};

/// How long a CA may take to find the proof for a name, and to sign.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two looks whether it has: at first, and at most.
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

/// Proofs that a CA may ask for: twice as many as names.
const PROOFS: usize = 200;

/// Characters of a token at most.
const TOKEN: usize = 256;

/// The same as `Identifier`, to be sent.
#[derive(Serialize)]
struct Name<'a> {
    r#type: &'static str,
    value: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount<'a> {
    terms_of_service_agreed: bool,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    contact: &'a [String],
}

#[derive(Serialize)]
struct NewOrder<'a> {
    identifiers: Vec<Name<'a>>,
}

#[derive(Serialize)]
struct Finalize {
    csr: String,
}

/// How far an order, an authorization or a challenge has come (RFC 8555, section 7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Pending,
    Ready,
    Processing,
    Valid,
    #[serde(other)]
    Invalid,
}

#[derive(Debug, Deserialize)]
struct Ordered {
    status: State,
    identifiers: Vec<Identifier>,
    authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    #[serde(default)]
    error: Option<Problem>,
}

#[derive(Debug, Deserialize)]
struct Authorization {
    status: State,
    identifier: Identifier,
    challenges: Vec<Challenge>,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    r#type: String,
    url: String,
    status: State,
    #[serde(default)]
    token: String,
    #[serde(default)]
    error: Option<Problem>,
}

impl Authorization {
    fn http01(&self) -> Option<&Challenge> {
        self.challenges.iter().find(|it| it.r#type == "http-01")
    }
}

/// Gets a certificate, and keeps it.
pub(crate) async fn obtain<N: Tcp + Resolve, B: Block + 'static>(
    net: &N,
    config: &Config,
    store: &Store<B>,
    challenges: &Challenges,
) -> Result<Certificate, Error> {
    let account = Account::new(&store.account().await?);
    let mut session = Session::open(net, &config.directory, account).await?;
    let obtained = ordered(&mut session, config, store, challenges).await;
    challenges.clear();
    session.close().await;
    obtained
}

async fn ordered<N: Tcp + Resolve, B: Block + 'static>(
    session: &mut Session<'_, N>,
    config: &Config,
    store: &Store<B>,
    challenges: &Challenges,
) -> Result<Certificate, Error> {
    register(session, config).await?;
    let (order, mut answer) = begin(session, config, store).await?;
    let ended = async {
        let mut found: Ordered = answer.parse()?;
        if found.authorizations.len() > PROOFS {
            return Err(answer.lacks("bound to its authorizations"));
        }
        if found.status == State::Pending {
            for url in &found.authorizations {
                prove(session, url, challenges).await?;
            }
            answer =
                look(session, &order.url, "pending", |it: &Ordered| it.status != State::Pending)
                    .await?;
            found = answer.parse()?;
        }
        if found.status == State::Ready {
            let csr = certificate::request(&order.key, &config.domains);
            let csr = base64url(&csr.map_err(|_| Error::Key)?);
            session.post(&found.finalize, &text(&Finalize { csr })?).await?;
        }
        if found.status != State::Valid && found.status != State::Invalid {
            answer = look(session, &order.url, "processing", |it: &Ordered| {
                matches!(it.status, State::Valid | State::Invalid)
            })
            .await?;
            found = answer.parse()?;
        }
        if found.status == State::Invalid {
            return Err(Error::Order(found.error.unwrap_or_default()));
        }
        let url = found.certificate.ok_or_else(|| answer.lacks("certificate"))?;
        let chain = session.post(&url, "").await?.body;
        let facts = Facts::read(&chain, &order.key).map_err(Error::Certificate)?;
        facts.check(&config.domains, config.now()).map_err(Error::Certificate)?;
        Ok((chain, facts))
    };
    match ended.await {
        Ok((chain, facts)) => {
            let new = Certificate::new(chain, order.key, facts, config.directory.clone());
            if new.identity().is_err() {
                store.forget_order().await?;
                return Err(Error::Certificate(Flaw::Unusable));
            }
            store.keep(&new).await?;
            Ok(new)
        }
        Err(error) => {
            // What the CA was silent about may go on; what it has refused will not.
            if !error.is_passing() {
                store.forget_order().await?;
            }
            Err(error)
        }
    }
}

/// Makes the account, or finds it again, which is the same request (RFC 8555, section 7.3).
async fn register<N: Tcp + Resolve>(
    session: &mut Session<'_, N>,
    config: &Config,
) -> Result<(), Error> {
    let meta = &session.directory.meta;
    if meta.external_account_required {
        return Err(Error::External);
    }
    if let Some(terms) = meta.terms_of_service.as_ref().filter(|_| !config.agreed) {
        return Err(Error::Terms(terms.clone()));
    }
    let new = NewAccount { terms_of_service_agreed: config.agreed, contact: &config.contact };
    let url = session.directory.new_account.clone();
    let answer = session.post(&url, &text(&new)?).await?;
    let name = answer.location.clone().ok_or_else(|| answer.lacks("Location"))?;
    session.account.named(name);
    Ok(())
}

/// Goes on with the order that was under way when the machine ended, or makes one.
async fn begin<N: Tcp + Resolve, B: Block + 'static>(
    session: &mut Session<'_, N>,
    config: &Config,
    store: &Store<B>,
) -> Result<(Order, Answer), Error> {
    if let Some(order) = store.order().await? {
        match session.post(&order.url, "").await {
            Ok(answer) if goes_on(&answer, &config.domains) => {
                log::info!("acme: going on with the order {}", order.url);
                return Ok((order, answer));
            }
            Err(error) if error.is_passing() => return Err(error),
            // Whatever it is that it has become.
            _ => store.forget_order().await?,
        }
    }
    let names = config.domains.iter().map(|it| Name { r#type: "dns", value: it });
    let new = NewOrder { identifiers: names.collect() };
    let url = session.directory.new_order.clone();
    let answer = session.post(&url, &text(&new)?).await?;
    let url = answer.location.clone().ok_or_else(|| answer.lacks("Location"))?;
    let order = Order { url, key: jose::new_key()? };
    store.begin_order(&order).await?;
    Ok((order, answer))
}

/// Whether an order is one for these names that may lead to something.
fn goes_on(answer: &Answer, domains: &[String]) -> bool {
    answer.parse().is_ok_and(|order: Ordered| {
        let is_in = |domain: &String| order.identifiers.iter().any(|it| it.value == *domain);
        order.status != State::Invalid
            && order.identifiers.len() == domains.len()
            && domains.iter().all(is_in)
    })
}

/// Proves that a name is this machine's.
async fn prove<N: Tcp + Resolve>(
    session: &mut Session<'_, N>,
    url: &str,
    challenges: &Challenges,
) -> Result<(), Error> {
    let answer = session.post(url, "").await?;
    let found: Authorization = answer.parse()?;
    let name = &found.identifier.value;
    match found.status {
        State::Valid => return Ok(()),
        State::Pending => {}
        _ => return Err(unproven(&found)),
    }
    let challenge = found.http01().ok_or_else(|| Error::NoChallenge(name.clone()))?;
    let token = &challenge.token;
    if !is_base64url(token) || token.len() > TOKEN {
        return Err(answer.lacks("token of a challenge"));
    }
    challenges.answer(token, session.account.authorization(token));
    log::info!("acme: the proof for {name} is at {}", challenges::place(name, token));
    // One that was begun before a restart goes on by itself.
    if challenge.status == State::Pending {
        session.post(&challenge.url, "{}").await?;
    }
    let judged = |it: &Authorization| it.status != State::Pending;
    let found: Authorization = look(session, url, "pending", judged).await?.parse()?;
    if found.status == State::Valid { Ok(()) } else { Err(unproven(&found)) }
}

/// Why the CA does not find the proof.
fn unproven(found: &Authorization) -> Error {
    let problem = found.http01().and_then(|it| it.error.clone());
    Error::Unproven(found.identifier.value.clone(), problem.unwrap_or_default())
}

/// Looks again and again at what is at `url`, as often as the CA says, until it is `done`.
async fn look<N: Tcp + Resolve, T: serde::de::DeserializeOwned>(
    session: &mut Session<'_, N>,
    url: &str,
    state: &'static str,
    done: impl Fn(&T) -> bool,
) -> Result<Answer, Error> {
    let (begun, mut pause) = (Instant::now(), FIRST);
    loop {
        let answer = session.post(url, "").await?;
        if done(&answer.parse()?) {
            return Ok(answer);
        }
        if begun.elapsed() >= PATIENCE {
            return Err(Error::Slow(state));
        }
        sleep(answer.later.unwrap_or(pause).clamp(FIRST, MOST)).await;
        pause = (pause * 2).min(MOST);
    }
}

fn text<T: Serialize>(value: &T) -> Result<String, Error> {
    json::text(value).map_err(|_| Error::Memory)
}
