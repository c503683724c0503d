//! The shared secret: every request carries a proof that its sender knows it, and every answer a proof of the other side.
//!
//! The proofs do not cover the content of messages. TLS protects it from changes on the way.
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

use heapql_server::symbols::hex;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

pub(crate) const HEADER: &str = "heapql-proof";
const MIN_BYTES: usize = 16;
/// Maximum difference between the clocks of two servers.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(300);

/// The shared secret of a cluster's servers.
#[derive(Clone)]
pub struct Secret(Arc<[u8]>);

/// The reasons for which a proof is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ProofError {
    /// No server with this secret has sent it.
    Invalid,
    /// The sender knows the secret. Its clock is this many seconds ahead of this server's.
    ClockSkew(i64),
}

impl Secret {
    /// Checks the length: a short secret could be guessed from one request. Returns the reason for a refusal.
    pub fn new(text: &str) -> Result<Secret, String> {
        if text.len() < MIN_BYTES {
            return Err(format!("it has {} bytes, and {MIN_BYTES} are the least", text.len()));
        }
        Ok(Secret(text.as_bytes().into()))
    }

    /// Returns the proof for one request, and the check for its answer.
    pub(crate) fn sign(&self, path: &str) -> (HeaderValue, AnswerProof) {
        let (time, nonce) = (seconds_now(), hex(&rand::random::<[u8; 16]>()));
        let proof = hex(&self.mac(["request", path, &format!("{time:x}"), &nonce]).finalize().into_bytes());
        let header = HeaderValue::from_str(&format!("{time:x}-{nonce}-{proof}"));
        let expected = AnswerProof { secret: self.clone(), path: path.to_owned(), nonce };
        // SANITY: hexadecimal digits and dashes are valid in a header.
        (header.unwrap_or_else(|_| HeaderValue::from_static("")), expected)
    }

    /// Checks the proof of a request, and returns the proof for its answer.
    pub(crate) fn check(&self, path: &str, header: Option<&HeaderValue>) -> Result<HeaderValue, ProofError> {
        let text = header.and_then(|header| header.to_str().ok()).ok_or(ProofError::Invalid)?;
        let mut parts = text.splitn(3, '-');
        let (Some(time), Some(nonce), Some(proof)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ProofError::Invalid);
        };
        let proof = bytes(proof).ok_or(ProofError::Invalid)?;
        self.mac(["request", path, time, nonce]).verify_slice(&proof).map_err(|_| ProofError::Invalid)?;
        let theirs = i64::from_str_radix(time, 16).map_err(|_| ProofError::Invalid)?;
        let ahead = theirs.saturating_sub(seconds_now());
        if ahead.unsigned_abs() > TOLERANCE.as_secs() {
            return Err(ProofError::ClockSkew(ahead));
        }
        let answer = hex(&self.mac(["answer", path, nonce, ""]).finalize().into_bytes());
        HeaderValue::from_str(&answer).map_err(|_| ProofError::Invalid)
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

/// The proof that the answer to one request must carry.
pub(crate) struct AnswerProof {
    secret: Secret,
    path: String,
    nonce: String,
}

impl AnswerProof {
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
        assert_eq!(other.check("/path", Some(&request)), Err(ProofError::Invalid));
        assert_eq!(one.check("/other", Some(&request)), Err(ProofError::Invalid));
        assert_eq!(one.check("/path", None), Err(ProofError::Invalid));
        let (_, other_request) = one.sign("/path");
        assert!(!other_request.is_met(Some(&answer)), "an answer is good for its own request only");
    }

    #[test]
    fn a_wrong_clock_is_reported_to_a_sender_that_knows_the_secret() {
        let secret = secret("0123456789abcdef");
        let signed_at = |time: i64| {
            let proof = hex(&secret.mac(["request", "/path", &format!("{time:x}"), "0a"]).finalize().into_bytes());
            HeaderValue::from_str(&format!("{time:x}-0a-{proof}")).expect("a header")
        };
        assert!(secret.check("/path", Some(&signed_at(seconds_now() - 290))).is_ok());
        let refused = secret.check("/path", Some(&signed_at(seconds_now() + 400)));
        assert!(matches!(refused, Err(ProofError::ClockSkew(399..=401))), "{refused:?}");
        assert!(matches!(secret.check("/path", Some(&signed_at(0))), Err(ProofError::ClockSkew(_))));
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
            prop_assert_eq!(secret("0123456789abcdef").check("/path", Some(&header)), Err(ProofError::Invalid));
        }

        #[test]
        fn hexadecimal(bytes_in in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(bytes(&hex(&bytes_in)), Some(bytes_in));
        }
    }
}
