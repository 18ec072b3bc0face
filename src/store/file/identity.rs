//! The identity that entries are encrypted to, as bytes: sealed with a passphrase,
//! or plain. Pure, but for random numbers.
//!
//! The text is that of `age-keygen`, and the sealed form is a passphrase file of
//! age's own, so that the stock program opens both.

use std::io::Read;
use std::iter;

use age::secrecy::{ExposeSecret, SecretString};
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use zeroize::Zeroizing;

use crate::types::keys::Secret;

/// scrypt's work: 2^16 rounds, 64 MiB, a quarter of a second.
pub const WORK: u8 = 16;

/// Files that ask for more are refused: 2^20 rounds take 1 GiB.
const MOST_WORK: u8 = 20;

/// Why sealed or encrypted bytes do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// Or the few bytes that the passphrase opens are damaged: these look the same.
    WrongPassphrase,
    /// Encrypted to someone else.
    NotForUs,
    Damaged,
}

/// The file of an identity: comments, then the identity.
pub fn text(identity: &Identity) -> Zeroizing<String> {
    Zeroizing::new(format!(
        "# the key of awskeep's encrypted file: age -d -i THIS-FILE entries/NAME.age\n\
         # public key: {}\n{}\n",
        identity.to_public(),
        identity.to_string().expose_secret()
    ))
}

/// Reads what `text` or `age-keygen` made.
pub fn parse(text: &str) -> Option<Identity> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next()?.parse().ok()
}

/// Seals an identity with a passphrase.
pub fn seal(identity: &Identity, passphrase: &Secret, work: u8) -> Option<Vec<u8>> {
    let mut recipient = age::scrypt::Recipient::new(secret(passphrase));
    recipient.set_work_factor(work);
    encrypt(&recipient, text(identity).as_bytes())
}

/// Opens what `seal` or `age -p` made. This runs the KDF.
pub fn unseal(sealed: &[u8], passphrase: &Secret) -> Result<Identity, Unreadable> {
    let mut key = age::scrypt::Identity::new(secret(passphrase));
    key.set_max_work_factor(MOST_WORK);
    let plain = decrypt(&key, sealed).map_err(|why| match why {
        Unreadable::NotForUs => Unreadable::Damaged,
        Unreadable::WrongPassphrase | Unreadable::Damaged => why,
    })?;
    let text = std::str::from_utf8(&plain).map_err(|_| Unreadable::Damaged)?;
    parse(text).ok_or(Unreadable::Damaged)
}

/// Encrypts an entry's bytes; none only if age itself fails.
pub fn encrypt_to(recipient: &Recipient, plain: &[u8]) -> Option<Vec<u8>> {
    encrypt(recipient, plain)
}

/// Decrypts an entry's bytes.
pub fn decrypt_with(identity: &Identity, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    decrypt(identity, sealed)
}

fn secret(passphrase: &Secret) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}

fn encrypt(recipient: &dyn age::Recipient, plain: &[u8]) -> Option<Vec<u8>> {
    use std::io::Write;
    let mut sealed = Vec::new();
    let encryptor = Encryptor::with_recipients(iter::once(recipient)).ok()?;
    let mut writer = encryptor.wrap_output(&mut sealed).ok()?;
    writer.write_all(plain).ok()?;
    writer.finish().ok()?;
    Some(sealed)
}

fn decrypt(key: &dyn age::Identity, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let opened = Decryptor::new_buffered(sealed).map_err(|_| Unreadable::Damaged)?;
    let mut reader = opened
        .decrypt(iter::once(key))
        .map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                Unreadable::WrongPassphrase
            }
            DecryptError::NoMatchingKeys => Unreadable::NotForUs,
            _ => Unreadable::Damaged,
        })?;
    // Long enough from the start: a buffer that grows leaves copies behind.
    let mut plain = Zeroizing::new(vec![0; sealed.len()]);
    let mut length = 0;
    loop {
        match reader.read(&mut plain[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(_) => return Err(Unreadable::Damaged),
        }
    }
    plain.truncate(length);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So little that a test takes no time.
    const LITTLE: u8 = 4;

    #[test]
    fn a_sealed_identity_opens_with_its_passphrase_only() {
        let identity = Identity::generate();
        let right = Secret::new("open sesame".into());
        let sealed = seal(&identity, &right, LITTLE).unwrap();
        let back = unseal(&sealed, &right).unwrap();
        assert_eq!(
            back.to_public().to_string(),
            identity.to_public().to_string()
        );
        let wrong = unseal(&sealed, &Secret::new("open".into()));
        assert_eq!(wrong.err(), Some(Unreadable::WrongPassphrase));
        for damaged in [&sealed[..sealed.len() - 1], &sealed[..30], b"", b"x\ny"] {
            let found = unseal(damaged, &right).err();
            assert_eq!(found, Some(Unreadable::Damaged));
        }
        let entry = encrypt_to(&identity.to_public(), b"x").unwrap();
        assert_eq!(unseal(&entry, &right).err(), Some(Unreadable::Damaged));
        let found = decrypt_with(&Identity::generate(), &entry).err();
        assert_eq!(found, Some(Unreadable::NotForUs));
    }

    #[test]
    fn identities_are_read_among_comments() {
        let identity = Identity::generate();
        let line = identity.to_string().expose_secret().to_owned();
        for (text, good) in [
            (text(&identity).to_string(), true),
            (format!("# x\r\n\r\n{line}\r\n"), true),
            ("# nothing\n".into(), false),
            (line.replace('1', "b"), false),
        ] {
            assert_eq!(parse(&text).is_some(), good);
        }
    }
}
