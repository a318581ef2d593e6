//! Who asks: signed in by password, or by a proxy that is trusted; or, where no users are configured, whoever sits at this
//! machine, who sees figures and no rows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use casewatch_metrics::Checked;
use casewatch_query::{Grant, Scope, ScramSecret, User, Users};
use ipnet::IpNet;
use rand::Rng;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};

/// The session's name among a browser's cookies.
const COOKIE: &str = "casewatch_session";
/// Sessions at a time; the one that was idle longest makes room.
const SESSIONS_AT_MOST: usize = 10_000;
/// Names and addresses whose failures are remembered.
const FAILURES_AT_MOST: usize = 10_000;
/// Failures of a name from which on it has to wait, and of an address, behind which many people may sit.
const FAILURES_OF_A_NAME: u32 = 5;
const FAILURES_OF_AN_ADDRESS: u32 = 20;
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// A password takes tens of milliseconds of one core to verify.
const VERIFIED_AT_A_TIME: usize = 2;

/// Users, and the catalogue with what their roles may see, as they are now.
#[derive(Clone)]
pub struct Accounts {
    pub users: watch::Receiver<Arc<Users>>,
    pub catalogues: watch::Receiver<Checked>,
}

/// How long and from where people are believed.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Proxies whose word about a user is taken.
    pub proxies: Vec<IpNet>,
    /// In which header they say it.
    pub user_header: HeaderName,
    /// A session ends when nobody used it for so long, and in any case after the other.
    pub idle: Duration,
    pub longest: Duration,
    /// Whether whoever sits at this machine sees figures without signing in although there are users.
    pub local_viewer: bool,
}

/// Whoever looks.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub name: String,
    pub role: String,
    pub scope: Scope,
    /// None for whoever sits at this machine while no users are configured.
    pub grant: Option<Arc<Grant>>,
    /// What this viewer can do about who they are.
    pub session: SessionState,
}

/// Whether a viewer can sign in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// There is a session to end.
    SignedIn,
    /// Nobody has signed in, and there are users who could.
    SignedOut,
    /// Neither: somebody else says who asks, or there are no users.
    Elsewhere,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("sign in first")]
    SignIn,
    #[error("name or password is wrong")]
    Wrong,
    #[error("too many attempts: try again in {0} seconds")]
    Wait(u64),
    #[error("{0}")]
    NoGrant(String),
    #[error(
        "no users are configured, so the board answers to this machine alone, under its own name: set [access] users"
    )]
    NoUsers,
}

pub struct People {
    accounts: Option<Accounts>,
    trust: Trust,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    failures: Mutex<HashMap<String, Failures>>,
    verifying: Semaphore,
    /// Refused like a wrong password, and as slowly, whoever is not known.
    nobody: ScramSecret,
}

struct Session {
    user: String,
    /// Of the password that it was begun with: another password ends it.
    stored_key: [u8; 32],
    begun: Instant,
    used: Instant,
}

struct Failures {
    count: u32,
    last: Instant,
}

impl People {
    pub fn new(accounts: Option<Accounts>, trust: Trust) -> Self {
        Self {
            accounts,
            trust,
            sessions: Mutex::default(),
            failures: Mutex::default(),
            verifying: Semaphore::new(VERIFIED_AT_A_TIME),
            nobody: ScramSecret::unknowable(),
        }
    }

    /// Whether a peer's word about others is taken.
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trust.proxies.iter().any(|net| net.contains(&peer.to_canonical()))
    }

    /// Who asks.
    ///
    /// # Errors
    /// Nobody who may.
    pub fn viewer(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Viewer, Refused> {
        let Some(accounts) = &self.accounts else {
            let viewer = self.local_viewer(headers, peer, SessionState::Elsewhere);
            return viewer.ok_or(Refused::NoUsers);
        };
        if self.is_trusted(peer)
            && let Some(named) = headers.get(&self.trust.user_header)
        {
            let named = named.to_str().unwrap_or_default();
            let user = accounts.users.borrow().find(named);
            let user =
                user.ok_or_else(|| Refused::NoGrant("you are signed in, but are no user of casewatch".to_owned()))?;
            return accounts.viewer(&user, SessionState::Elsewhere);
        }
        let user = cookie_of(headers).and_then(|token| self.session_of(&token, accounts));
        match user {
            Some(user) => accounts.viewer(&user, SessionState::SignedIn),
            None if self.trust.local_viewer => {
                let viewer = self.local_viewer(headers, peer, SessionState::SignedOut);
                viewer.ok_or(Refused::SignIn)
            }
            None => Err(Refused::SignIn),
        }
    }

    /// Whoever sits at this machine: not somebody behind a proxy on it, and not a page of elsewhere whose name was made to
    /// point here.
    fn local_viewer(&self, headers: &HeaderMap, peer: IpAddr, session: SessionState) -> Option<Viewer> {
        let is_here = peer.to_canonical().is_loopback() && !self.is_trusted(peer);
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let is_named_so = host.is_some_and(is_this_machine);
        (is_here && is_named_so).then(|| Viewer {
            name: "local".to_owned(),
            role: "viewer".to_owned(),
            scope: Scope::default(),
            grant: None,
            session,
        })
    }

    /// Begins a session; returns its token.
    ///
    /// # Errors
    /// A wrong name or password, told apart by nothing; too many attempts.
    pub async fn sign_in(&self, name: &str, password: &str, peer: IpAddr) -> Result<String, Refused> {
        let accounts = self.accounts.as_ref().ok_or(Refused::NoUsers)?;
        let (of_name, of_peer) = (format!("name {name}"), format!("address {peer}"));
        let limits = [(&of_name, FAILURES_OF_A_NAME), (&of_peer, FAILURES_OF_AN_ADDRESS)];
        for (key, limit) in limits {
            if let Some(wait) = self.must_wait(key, limit) {
                return Err(Refused::Wait(wait.as_secs().max(1)));
            }
        }
        // Counted beforehand, so that many attempts at once are many.
        limits.iter().for_each(|(key, _)| self.note_failure(key));
        let user = accounts.users.borrow().find(name);
        let secret = user
            .as_ref()
            .map_or_else(|| self.nobody.clone(), |user| user.secret.clone());
        let password = password.to_owned();
        let _place = self.verifying.acquire().await.expect("the semaphore is never closed");
        let verifying = tokio::task::spawn_blocking(move || secret.verify(&password));
        let is_right = verifying.await.unwrap_or(false);
        let user = user.filter(|_| is_right).ok_or(Refused::Wrong)?;
        // An address keeps what others there did wrong.
        self.forgive(&of_name, u32::MAX);
        self.forgive(&of_peer, 1);
        accounts.viewer(&user, SessionState::SignedIn)?;
        Ok(self.begin(&user))
    }

    /// Ends the session that a request carries, if it does.
    pub fn sign_out(&self, headers: &HeaderMap) {
        if let Some(token) = cookie_of(headers) {
            lock(&self.sessions).remove(&fingerprint(&token));
        }
    }

    /// The header that gives a browser its session.
    pub fn cookie(&self, token: &str, secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        let seconds = self.trust.longest.as_secs();
        format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
    }

    /// The header that takes it back.
    pub fn no_cookie(secure: bool) -> String {
        let secure = if secure { "; Secure" } else { "" };
        format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}")
    }

    fn begin(&self, user: &User) -> String {
        let mut token = [0_u8; 32];
        rand::rng().fill(&mut token);
        let token = URL_SAFE_NO_PAD.encode(token);
        let now = Instant::now();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| self.is_alive(session));
        if sessions.len() >= SESSIONS_AT_MOST {
            let idlest = sessions
                .iter()
                .min_by_key(|(_, session)| session.used)
                .map(|(key, _)| *key);
            idlest.and_then(|key| sessions.remove(&key));
        }
        let session = Session {
            user: user.name.clone(),
            stored_key: user.secret.stored_key,
            begun: now,
            used: now,
        };
        sessions.insert(fingerprint(&token), session);
        token
    }

    /// The user of a session that stands: users who are gone or have another password have none.
    fn session_of(&self, token: &str, accounts: &Accounts) -> Option<Arc<User>> {
        let mut sessions = lock(&self.sessions);
        let key = fingerprint(token);
        let session = sessions.get_mut(&key).filter(|session| self.is_alive(session))?;
        let user = accounts.users.borrow().find(&session.user);
        match user.filter(|user| user.secret.stored_key == session.stored_key) {
            Some(user) => {
                session.used = Instant::now();
                Some(user)
            }
            None => {
                sessions.remove(&key);
                None
            }
        }
    }

    fn is_alive(&self, session: &Session) -> bool {
        session.used.elapsed() < self.trust.idle && session.begun.elapsed() < self.trust.longest
    }

    fn must_wait(&self, key: &str, limit: u32) -> Option<Duration> {
        let failures = lock(&self.failures);
        let failed = failures.get(key)?;
        let over = failed.count.checked_sub(limit)?;
        let wait = Duration::from_secs(1 << over.min(9)).min(LONGEST_WAIT);
        wait.checked_sub(failed.last.elapsed()).filter(|left| !left.is_zero())
    }

    fn note_failure(&self, key: &str) {
        let mut failures = lock(&self.failures);
        failures.retain(|_, failed| failed.last.elapsed() < 2 * LONGEST_WAIT);
        if failures.len() >= FAILURES_AT_MOST && !failures.contains_key(key) {
            let oldest = failures
                .iter()
                .min_by_key(|(_, failed)| failed.last)
                .map(|(key, _)| key.clone());
            oldest.and_then(|key| failures.remove(&key));
        }
        let failed = failures.entry(key.to_owned()).or_insert(Failures {
            count: 0,
            last: Instant::now(),
        });
        failed.count += 1;
        failed.last = Instant::now();
    }

    fn forgive(&self, key: &str, count: u32) {
        if let Some(failed) = lock(&self.failures).get_mut(key) {
            failed.count = failed.count.saturating_sub(count);
        }
    }
}

impl Accounts {
    fn viewer(&self, user: &User, session: SessionState) -> Result<Viewer, Refused> {
        let policy = self.catalogues.borrow().engine.policy().cloned();
        let policy = policy.ok_or_else(|| {
            Refused::NoGrant("queries/access.toml is not there, so that no role may see anything".to_owned())
        })?;
        let grant = policy
            .grant(user)
            .map_err(|error| Refused::NoGrant(error.to_string()))?;
        Ok(Viewer {
            name: user.name.clone(),
            role: user.role.clone(),
            scope: user.scope.clone(),
            grant: Some(grant),
            session,
        })
    }
}

/// Whether a request's `Host` means this machine.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Sessions and failures are whole whatever a holder of the lock did.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of a token is kept: memory that is read by others gives no session away.
fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn cookie_of(headers: &HeaderMap) -> Option<String> {
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut pairs = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, token)| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn trust() -> Trust {
        Trust {
            proxies: Vec::new(),
            user_header: HeaderName::from_static("x-forwarded-user"),
            idle: Duration::from_secs(60),
            longest: Duration::from_secs(600),
            local_viewer: false,
        }
    }

    fn asked_under(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, host.parse().expect("a host is a header's value"))])
    }

    #[test]
    fn without_users_figures_are_for_this_machine_under_its_own_name_alone() {
        let people = People::new(None, trust());
        let viewer = people.viewer(&asked_under("localhost:9465"), HERE).unwrap();
        assert!(viewer.grant.is_none());
        assert_eq!(viewer.session, SessionState::Elsewhere, "there is nobody to sign in as");
        assert!(people.viewer(&asked_under("[::1]:9465"), HERE).is_ok());
        assert_eq!(
            people.viewer(&asked_under("localhost:9465"), ELSEWHERE).unwrap_err(),
            Refused::NoUsers
        );
        let rebound = people.viewer(&asked_under("evil.example:9465"), HERE).unwrap_err();
        assert_eq!(rebound, Refused::NoUsers, "a name that was made to point here");
    }

    #[test]
    fn a_name_that_failed_often_has_to_wait_longer_and_longer() {
        let people = People::new(None, trust());
        for _ in 0..FAILURES_OF_A_NAME - 1 {
            people.note_failure("name ada");
        }
        assert_eq!(people.must_wait("name ada", FAILURES_OF_A_NAME), None);
        people.note_failure("name ada");
        let first = people.must_wait("name ada", FAILURES_OF_A_NAME).unwrap();
        people.note_failure("name ada");
        let second = people.must_wait("name ada", FAILURES_OF_A_NAME).unwrap();
        assert!(
            first <= Duration::from_secs(1) && second > first,
            "{first:?} {second:?}"
        );
        assert_eq!(people.must_wait("name grace", FAILURES_OF_A_NAME), None);
        people.forgive("name ada", u32::MAX);
        assert_eq!(people.must_wait("name ada", FAILURES_OF_A_NAME), None);
    }

    #[test]
    fn a_cookie_is_kept_from_scripts_and_other_pages_and_found_among_others() {
        let people = People::new(None, trust());
        let cookie = people.cookie("abc", true);
        assert_eq!(
            cookie,
            "casewatch_session=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=600; Secure"
        );
        let sent = "theme=dark; casewatch_session=abc; x=y".parse().unwrap();
        assert_eq!(
            cookie_of(&HeaderMap::from_iter([(header::COOKIE, sent)])).unwrap(),
            "abc"
        );
    }
}
