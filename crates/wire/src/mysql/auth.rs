//! Password proofs: mysql_native_password, and the first step of caching_sha2_password for clients without the former (MySQL 9). The
//! server knows the password itself, so the second step of the latter, which needs TLS, never happens. It sends nothing; `login` does.

use sha1::{Digest, Sha1};
use sha2::Sha256;

pub(super) const SALT_BYTES: usize = 20;
pub(super) type Salt = [u8; SALT_BYTES];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    Native,
    CachingSha2,
}

impl Plugin {
    pub(super) fn name(self) -> &'static str {
        match self {
            Plugin::Native => "mysql_native_password",
            Plugin::CachingSha2 => "caching_sha2_password",
        }
    }

    pub(super) fn named(name: &[u8]) -> Option<Plugin> {
        [Plugin::Native, Plugin::CachingSha2].into_iter().find(|plugin| plugin.name().as_bytes() == name)
    }

    /// Returns whether `proof` proves knowledge of `password`. Without a password, only an empty proof does.
    pub(super) fn proves(self, password: Option<&str>, salt: &Salt, proof: &[u8]) -> bool {
        match (password, is_empty(proof)) {
            (None, empty) => empty,
            (Some(_), true) => false,
            (Some(password), false) => {
                let expected = match self {
                    Plugin::Native => native(password, salt),
                    Plugin::CachingSha2 => caching_sha2(password, salt),
                };
                same(&expected, proof)
            }
        }
    }
}

/// Returns whether the client gave no password. caching_sha2_password sends one zero byte then.
pub(super) fn is_empty(proof: &[u8]) -> bool {
    matches!(proof, [] | [0])
}

/// A random salt without zero, which would end it early, and without '$', which old clients cannot handle.
pub(super) fn salt() -> Salt {
    rand::random::<Salt>().map(|byte| match byte % 127 {
        0 => 1,
        b'$' => b'%',
        other => other,
    })
}

/// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password)))
fn native(password: &str, salt: &Salt) -> Vec<u8> {
    let once = Sha1::digest(password);
    let twice = Sha1::digest(once);
    let mask = Sha1::new().chain_update(salt).chain_update(twice).finalize();
    xor(&once, &mask)
}

/// SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt)
fn caching_sha2(password: &str, salt: &Salt) -> Vec<u8> {
    let once = Sha256::digest(password);
    let twice = Sha256::digest(once);
    let mask = Sha256::new().chain_update(twice).chain_update(salt).finalize();
    xor(&once, &mask)
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

/// Compares in a time that does not depend on the position of a difference.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &Salt = b"abcdefghijklmnopqrst";

    /// The client's half, as MySQL's documentation puts it.
    fn from_stage2(stage2: &[u8], salt: &Salt, proof: &[u8]) -> bool {
        let mask = Sha1::new().chain_update(salt).chain_update(stage2).finalize();
        Sha1::digest(xor(proof, &mask))[..] == stage2[..]
    }

    #[test]
    fn native_agrees_with_the_verifier_mysql_stores() {
        // SELECT PASSWORD('secret') without its star.
        let stored = [
            0x14, 0xe6, 0x55, 0x67, 0xab, 0xdb, 0x51, 0x35, 0xd0, 0xcf, 0xd9, 0xa7, 0x0b, 0x30, 0x32, 0xc1, 0x79, 0xa4,
            0x9e, 0xe7,
        ];
        assert!(from_stage2(&stored, SALT, &native("secret", SALT)));
    }

    #[test]
    fn only_the_password_proves_itself() {
        for plugin in [Plugin::Native, Plugin::CachingSha2] {
            let proof = match plugin {
                Plugin::Native => native("secret", SALT),
                Plugin::CachingSha2 => caching_sha2("secret", SALT),
            };
            assert!(plugin.proves(Some("secret"), SALT, &proof));
            assert!(!plugin.proves(Some("Secret"), SALT, &proof));
            assert!(!plugin.proves(Some("secret"), b"tsrqponmlkjihgfedcba", &proof));
            assert!(!plugin.proves(Some("secret"), SALT, &proof[1..]));
            assert!(!plugin.proves(Some("secret"), SALT, b""));
            assert!(!plugin.proves(None, SALT, &proof));
            assert!(plugin.proves(None, SALT, b""));
            assert_eq!(Plugin::named(plugin.name().as_bytes()), Some(plugin));
        }
        assert_ne!(native("secret", SALT), native("secret", b"tsrqponmlkjihgfedcba"));
    }

    #[test]
    fn salts_differ_and_hold_no_zero() {
        let first = salt();
        assert_ne!(first, salt());
        assert!(first.iter().all(|byte| *byte != 0 && *byte != b'$' && *byte < 128));
    }
}
