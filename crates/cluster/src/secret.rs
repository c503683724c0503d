//! The shared secret: a proof in each request that its sender knows it, and one in the answer that the other side does.
//! It says nothing of what is sent: who can change bytes on the way is kept out by TLS.
//!
//! ```text
//! request   heapql-proof: TIME-NONCE-HMAC(secret, "request" PATH TIME NONCE)      TIME in seconds since 1970, hex
//! answer    heapql-proof: HMAC(secret, "answer" PATH NONCE)
//! ```
//!
//! `channels` signs and checks answers, `gate` checks requests.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

pub(crate) const HEADER: &str = "heapql-proof";
const MIN_BYTES: usize = 16;
/// How far two clocks may be apart.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(300);

/// What the servers of a cluster have in common and nobody else knows.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing that a server with this secret would have sent.
    Unknown,
    /// It knows the secret, but its clock is so many seconds ahead of this one's.
    Clock(i64),
}

impl Secret {
    /// Short ones can be guessed from one request.
    pub fn new(text: &str) -> Result<Secret, String> {
        if text.len() < MIN_BYTES {
            return Err(format!("it has {} bytes, and {MIN_BYTES} are the least", text.len()));
        }
        Ok(Secret(text.as_bytes().into()))
    }

    /// The proof for one request, and what its answer is to prove.
    pub(crate) fn sign(&self, path: &str) -> (HeaderValue, Expected) {
        let (time, nonce) = (seconds_now(), hex(&rand::random::<[u8; 16]>()));
        let proof = hex(&self.mac(["request", path, &format!("{time:x}"), &nonce]).finalize().into_bytes());
        let header = HeaderValue::from_str(&format!("{time:x}-{nonce}-{proof}"));
        let expected = Expected { secret: self.clone(), path: path.to_owned(), nonce };
        // SANITY: hexadecimal digits and dashes are valid in a header.
        (header.unwrap_or_else(|_| HeaderValue::from_static("")), expected)
    }

    /// The proof for the answer to a request that has proved itself.
    pub(crate) fn check(&self, path: &str, header: Option<&HeaderValue>) -> Result<HeaderValue, Refusal> {
        let text = header.and_then(|header| header.to_str().ok()).ok_or(Refusal::Unknown)?;
        let mut parts = text.splitn(3, '-');
        let (Some(time), Some(nonce), Some(proof)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Refusal::Unknown);
        };
        let proof = bytes(proof).ok_or(Refusal::Unknown)?;
        self.mac(["request", path, time, nonce]).verify_slice(&proof).map_err(|_| Refusal::Unknown)?;
        let theirs = i64::from_str_radix(time, 16).map_err(|_| Refusal::Unknown)?;
        let ahead = theirs.saturating_sub(seconds_now());
        if ahead.unsigned_abs() > TOLERANCE.as_secs() {
            return Err(Refusal::Clock(ahead));
        }
        let answer = hex(&self.mac(["answer", path, nonce, ""]).finalize().into_bytes());
        HeaderValue::from_str(&answer).map_err(|_| Refusal::Unknown)
    }

    fn mac(&self, parts: [&str; 4]) -> Hmac<Sha256> {
        // SANITY: HMAC takes keys of any length.
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// What the answer to one request is to prove.
pub(crate) struct Expected {
    secret: Secret,
    path: String,
    nonce: String,
}

impl Expected {
    pub(crate) fn is_met(&self, header: Option<&HeaderValue>) -> bool {
        let proof = header.and_then(|header| header.to_str().ok()).and_then(bytes);
        proof.is_some_and(|proof| self.secret.mac(["answer", &self.path, &self.nonce, ""]).verify_slice(&proof).is_ok())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn seconds_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || hex.len() > 128 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("long enough")
    }

    #[test]
    fn both_sides_prove_it() {
        let (one, other) = (secret("0123456789abcdef"), secret("0123456789abcdeX"));
        let (request, expected) = one.sign("/path");
        let answer = one.check("/path", Some(&request)).expect("known");
        assert!(expected.is_met(Some(&answer)));
        assert!(!expected.is_met(Some(&request)) && !expected.is_met(None));
        assert_eq!(other.check("/path", Some(&request)), Err(Refusal::Unknown));
        assert_eq!(one.check("/other", Some(&request)), Err(Refusal::Unknown));
        assert_eq!(one.check("/path", None), Err(Refusal::Unknown));
        let (_, of_another) = one.sign("/path");
        assert!(!of_another.is_met(Some(&answer)), "an answer is good for its own request only");
    }

    #[test]
    fn a_clock_that_is_off_is_told_to_who_knows_the_secret() {
        let secret = secret("0123456789abcdef");
        let signed_at = |time: i64| {
            let proof = hex(&secret.mac(["request", "/path", &format!("{time:x}"), "0a"]).finalize().into_bytes());
            HeaderValue::from_str(&format!("{time:x}-0a-{proof}")).expect("a header")
        };
        assert!(secret.check("/path", Some(&signed_at(seconds_now() - 290))).is_ok());
        let refused = secret.check("/path", Some(&signed_at(seconds_now() + 400)));
        assert!(matches!(refused, Err(Refusal::Clock(399..=401))), "{refused:?}");
        assert!(matches!(secret.check("/path", Some(&signed_at(0))), Err(Refusal::Clock(_))));
    }

    #[test]
    fn it_is_not_printed_and_not_short() {
        assert_eq!(format!("{:?}", secret("0123456789abcdef")), "Secret");
        assert!(Secret::new("secret").is_err());
    }

    proptest! {
        #[test]
        fn no_header_is_trusted(text in "[ -~]{0,200}") {
            let header = HeaderValue::from_str(&text).expect("a header");
            prop_assert_eq!(secret("0123456789abcdef").check("/path", Some(&header)), Err(Refusal::Unknown));
        }

        #[test]
        fn hexadecimal(bytes_in in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(bytes(&hex(&bytes_in)), Some(bytes_in));
        }
    }
}
