//! SCRAM-SHA-256 (RFC 5802, RFC 7677), implemented by pgwire. The conversation with the client is `login`'s.

use bytes::Bytes;
use pgwire::api::auth::Password;
use pgwire::api::auth::sasl::scram::{
    SCRAM_ITERATIONS, ScramServerAuth, ScramServerAuthWaitingForClientFinal, gen_salted_password,
};
use pgwire::error::PgWireError;

use crate::cursor::{DecodeError, MessageCursor};

pub(super) const METHOD: &str = "SCRAM-SHA-256";

/// The salted and hashed password, made once when the server starts.
pub(super) struct PasswordVerifier {
    salt: Vec<u8>,
    salted: Vec<u8>,
}

/// An exchange after its first step.
pub(super) struct ScramExchange(ScramServerAuthWaitingForClientFinal);

impl PasswordVerifier {
    pub(super) fn new(password: &str) -> PasswordVerifier {
        let salt = rand::random::<[u8; 16]>().to_vec();
        let salted = gen_salted_password(password, &salt, SCRAM_ITERATIONS);
        PasswordVerifier { salt, salted }
    }

    /// Answers the client's first message. The answer is the same for users that do not exist.
    pub(super) fn challenge(&self, client_first: &[u8]) -> Result<(String, ScramExchange), PgWireError> {
        let password = Password::new(Some(self.salt.clone()), self.salted.clone());
        let (answer, waiting) = ScramServerAuth::new().on_client_first_message(client_first, password)?;
        Ok((answer, ScramExchange(waiting)))
    }
}

impl ScramExchange {
    /// Returns the server's proof, or an error when the client's is wrong.
    pub(super) fn check(&self, client_final: &[u8]) -> Result<String, PgWireError> {
        self.0.on_client_final_message(client_final)
    }
}

/// Reads a SASLInitialResponse: the method and the client's first message.
pub(super) fn initial_response(body: &Bytes) -> Result<(String, Bytes), DecodeError> {
    let mut cursor = MessageCursor::new(body);
    let method = cursor.text("name of a SASL method")?;
    let length = cursor.i32_be("length of a SASL response")?;
    let first = match usize::try_from(length) {
        Ok(length) => body.slice_ref(cursor.take(length, "SASL response")?),
        Err(_) => Bytes::new(),
    };
    Ok((method, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_an_error() {
        let verifier = PasswordVerifier::new("secret");
        assert!(verifier.challenge(b"").is_err());
        assert!(verifier.challenge(b"\xff\xfe").is_err());
        let (answer, exchange) = verifier.challenge(b"n,,n=,r=nonce").expect("a challenge");
        assert!(answer.starts_with("r=nonce"), "{answer}");
        for garbage in ["", "c=biws", "c=biws,r=x,p=", "c=biws,r=nonce,p=AAAA"] {
            assert!(exchange.check(garbage.as_bytes()).is_err(), "{garbage}");
        }
        assert!(initial_response(&Bytes::from_static(b"M\0\0\0\0\x09abc")).is_err());
    }
}
