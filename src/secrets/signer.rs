//! Signed text: cursors, states and event ids that clients hold for us and may tamper with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::{Error, Result};

/// Bytes of the signature that are kept: 128 bits, as much as a random token has.
const TAG_BYTES: usize = 16;

/// Signs what a client is to hand back, and knows it again.
///
/// The content is readable, so nothing secret goes into it; what counts is that it can be neither changed, nor used by
/// another caller, nor for another purpose, nor for ever.
#[derive(Clone)]
pub struct Signer {
    mac: Hmac<Sha256>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// A signer with a key that all replicas share.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        Self { mac: Hmac::new_from_slice(key).expect("HMAC takes keys of any length (RFC 2104 §2)") }
    }

    /// A signer with a random key, for a server that has no other replica.
    #[must_use]
    pub fn random() -> Self {
        Self::new(random_token("").as_bytes())
    }

    /// Signs `content` until `expires` (Unix seconds), for whoever can name the same `bound` values again.
    #[must_use]
    pub fn seal(&self, bound: &[&str], content: &[u8], expires: i64) -> String {
        let mut sealed = expires.to_be_bytes().to_vec();
        sealed.extend_from_slice(content);
        let tag = self.tag(bound, &sealed);
        sealed.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// The content of a text that [`Signer::seal`] made with the same `bound` values and that has not expired.
    ///
    /// # Errors
    /// [`Error::BadArguments`] for anything else, without saying what was wrong with it.
    pub fn open(&self, bound: &[&str], sealed: &str, now: i64) -> Result<Vec<u8>> {
        let invalid = || Error::BadArguments("it is not valid here: expired, changed, or made for another call".into());
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| invalid())?;
        let split = sealed.len().checked_sub(TAG_BYTES).filter(|split| *split >= 8).ok_or_else(invalid)?;
        let (content, tag) = sealed.split_at(split);
        self.keyed(bound, content).verify_truncated_left(tag).map_err(|_| invalid())?;
        let (expires, content) = content.split_at(8);
        let expires = i64::from_be_bytes(expires.try_into().expect("split at eight bytes"));
        if expires < now { Err(invalid()) } else { Ok(content.to_vec()) }
    }

    /// A short keyed fingerprint: equal for equal text, and says nothing else about it.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> String {
        self.fingerprint_at(&[], text)
    }

    /// A fingerprint that is equal for equal text at the same place only.
    #[must_use]
    pub fn fingerprint_at(&self, place: &[&str], text: &str) -> String {
        let mut bound = vec!["fingerprint"];
        bound.extend_from_slice(place);
        hex(&self.tag(&bound, text.as_bytes())[..4])
    }

    fn tag(&self, bound: &[&str], content: &[u8]) -> [u8; TAG_BYTES] {
        let full = self.keyed(bound, content).finalize().into_bytes();
        full[..TAG_BYTES].try_into().expect("SHA-256 has 32 bytes")
    }

    /// Lengths go in with the texts, so that no two lists of bound values look alike.
    fn keyed(&self, bound: &[&str], content: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for text in bound {
            mac.update(&(text.len() as u64).to_be_bytes());
            mac.update(text.as_bytes());
        }
        mac.update(&u64::MAX.to_be_bytes());
        mac.update(content);
        mac
    }
}

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// A random text that nobody can guess: 160 bits from the operating system, after `prefix`.
#[must_use]
pub fn random_token(prefix: &str) -> String {
    let mut bytes = [0; 20];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_only_for_the_same_purpose_in_time_and_unchanged() {
        let signer = Signer::new(b"key");
        let sealed = signer.seal(&["cursor", "ann"], b"42", 100);
        assert_eq!(signer.open(&["cursor", "ann"], &sealed, 99).unwrap(), b"42");
        for (bound, text, now) in [
            (["cursor", "bob"], sealed.clone(), 99),
            (["state", "ann"], sealed.clone(), 99),
            (["cursora", "nn"], sealed.clone(), 99),
            (["cursor", "ann"], sealed.clone(), 101),
            (["cursor", "ann"], sealed.replacen('A', "B", 1), 99),
            (["cursor", "ann"], String::new(), 99),
            (["cursor", "ann"], "?".into(), 99),
        ] {
            assert!(signer.open(&bound, &text, now).is_err(), "{bound:?} {text} {now}");
        }
        assert!(Signer::new(b"other").open(&["cursor", "ann"], &sealed, 99).is_err());
    }
}
