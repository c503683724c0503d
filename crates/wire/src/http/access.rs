//! The check of each request before it is answered: the password if there is one, and on loopback the host name. A page of any site can
//! make a browser ask 127.0.0.1, under a name of its own (DNS rebinding) or not. It answers nothing but refusals.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use hyper::{Request, Response, StatusCode};
use sha2::{Digest, Sha256};

use super::reply::{Body, refused};

const USERS: [&str; 2] = ["root@sys", "root"];
/// Headers by which current browsers tell which site makes a request.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The path for health probes, which need neither password nor host name.
pub(super) const HEALTH: &str = "/healthz";
/// The path that takes statements.
pub(super) const SQL: &str = "/sql";

/// The answer to a refused request, boxed because it is rare.
type RefusalResponse = Box<Response<Body>>;

pub(super) struct AccessPolicy {
    password: Option<[u8; 32]>,
    is_local: bool,
}

impl AccessPolicy {
    /// `is_local` tells that only loopback is listened on.
    pub(super) fn new(password: Option<String>, is_local: bool) -> AccessPolicy {
        AccessPolicy { password: password.map(|password| digest(&password)), is_local }
    }

    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), RefusalResponse> {
        if request.uri().path() == HEALTH {
            return Ok(());
        }
        self.check_host(request)?;
        check_site(request)?;
        self.check_password(request)
    }

    fn check_host<B>(&self, request: &Request<B>) -> Result<(), RefusalResponse> {
        if !self.is_local {
            return Ok(());
        }
        let named = header(request, HOST).into_iter().chain(request.uri().authority().map(|host| host.as_str()));
        let mut named = named.peekable();
        if named.peek().is_some() && named.all(is_this_host) {
            return Ok(());
        }
        let why = "this server listens on loopback and answers to the names localhost and 127.0.0.1 only";
        Err(refused(StatusCode::MISDIRECTED_REQUEST, why, None).into())
    }

    fn check_password<B>(&self, request: &Request<B>) -> Result<(), RefusalResponse> {
        let Some(expected) = &self.password else { return Ok(()) };
        if header(request, AUTHORIZATION)
            .and_then(basic_password)
            .is_some_and(|password| digest(&password) == *expected)
        {
            return Ok(());
        }
        let hint = "log in as root@sys with the password of --password-file";
        let mut refusal = refused(StatusCode::UNAUTHORIZED, "access denied", Some(hint));
        let challenge = HeaderValue::from_static("Basic realm=\"heapql\", charset=\"UTF-8\"");
        refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        Err(refusal.into())
    }
}

/// Refuses requests of another site's page, except links to pages of this server that run no statement.
fn check_site<B>(request: &Request<B>) -> Result<(), RefusalResponse> {
    let own = |site: &str| matches!(site, "same-origin" | "none");
    let is_foreign = header(request, FETCH_SITE).is_some_and(|site| !own(site));
    let is_followed = header(request, FETCH_MODE) == Some("navigate") && request.uri().path() != SQL;
    let origin = header(request, ORIGIN).map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
    let is_foreign_origin = origin.is_some_and(|origin| Some(origin) != header(request, HOST));
    if (is_foreign && !is_followed) || is_foreign_origin {
        return Err(refused(StatusCode::FORBIDDEN, "requests of another site's page are refused", None).into());
    }
    Ok(())
}

fn header<B>(request: &Request<B>, name: HeaderName) -> Option<&str> {
    request.headers().get(name)?.to_str().ok()
}

/// The password of `Basic base64(user:password)`, if the user exists.
fn basic_password(authorization: &str) -> Option<String> {
    let (scheme, proof) = authorization.split_once(' ')?;
    let decoded = STANDARD.decode(proof.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    USERS.contains(&user).then(|| password.to_owned())
}

/// Digests are compared, so that the time of the comparison tells nothing about the password.
fn digest(password: &str) -> [u8; 32] {
    Sha256::digest(password).into()
}

/// Returns whether a Host header names `localhost` or an address of loopback, with or without a port.
fn is_this_host(named: &str) -> bool {
    let bare = match named.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => named.rsplit_once(':').map_or(named, |(host, _)| host),
    };
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: &AccessPolicy, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        access.check(&request).err().map_or(200, |refusal| refusal.status().as_u16())
    }

    #[test]
    fn on_loopback_only_names_of_this_host_are_answered() {
        let access = AccessPolicy::new(None, true);
        for host in ["127.0.0.1:2884", "localhost", "LOCALHOST:1", "[::1]:2884", "127.9.9.9", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(status(&access, "/", &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:2884", "10.0.0.1", "", "localhost.evil.example", "[::2]"] {
            assert_eq!(status(&access, "/", &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&access, "/", &[]), 421);
        assert_eq!(status(&access, "http://evil.example/", &[("host", "localhost")]), 421);
        assert_eq!(status(&AccessPolicy::new(None, false), "/", &[("host", "evil.example")]), 200);
    }

    #[test]
    fn other_sites_may_link_but_not_ask() {
        let access = AccessPolicy::new(None, true);
        let from = |path: &str, site: &str, mode: &str| {
            status(&access, path, &[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        assert_eq!(from("/flamegraph", "cross-site", "navigate"), 200);
        assert_eq!(from("/flamegraph", "cross-site", "no-cors"), 403);
        assert_eq!(from("/sql?q=SELECT+1", "cross-site", "navigate"), 403);
        assert_eq!(from("/sql?q=SELECT+1", "same-origin", "navigate"), 200);
        let origin = |origin| status(&access, "/sql", &[("host", "localhost:7"), ("origin", origin)]);
        assert_eq!(origin("http://localhost:7"), 200);
        assert_eq!((origin("http://evil.example"), origin("null"), origin("http://localhost:8")), (403, 403, 403));
    }

    #[test]
    fn the_password_and_the_user() {
        let access = AccessPolicy::new(Some("pä:ss".to_owned()), false);
        let with =
            |proof: &str| status(&access, "/", &[("authorization", &format!("Basic {}", STANDARD.encode(proof)))]);
        assert_eq!((with("root@sys:pä:ss"), with("root:pä:ss")), (200, 200));
        for wrong in ["root:", "root:pä:s", "admin:pä:ss", "root", "", ":pä:ss"] {
            assert_eq!(with(wrong), 401, "{wrong}");
        }
        assert_eq!(status(&access, "/", &[]), 401);
        assert_eq!(status(&access, "/", &[("authorization", "Bearer x")]), 401);
        assert_eq!(status(&access, "/", &[("authorization", "Basic !")]), 401);
        assert_eq!(status(&access, HEALTH, &[]), 200);
    }
}
