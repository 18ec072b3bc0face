//! Opens the one kind of JWE that aws-vault writes: compact, PBES2-HS256+A128KW for the
//! key, A256GCM for the text (RFC 7516, RFC 7518). Pure. Errors quote nothing.

use std::num::NonZeroU32;

use aes_kw::{KeyInit, KwAes128};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::pbkdf2;
use serde::Deserialize;
use zeroize::Zeroizing;

const KEY: &str = "PBES2-HS256+A128KW";
const TEXT: &str = "A256GCM";

/// More would be a way to keep us busy; jose2go, which aws-vault uses, has this limit too.
const MOST_ROUNDS: u32 = 1_310_000;

#[derive(Deserialize)]
struct Header {
    alg: String,
    enc: String,
    p2c: u32,
    p2s: String,
}

/// The text, or what is wrong with it, to be put behind the file's name.
pub fn open(compact: &str, passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let odd = "is not a file that aws-vault wrote";
    let parts: Vec<&str> = compact.split('.').collect();
    let &[header, key, nonce, text, tag] = parts.as_slice() else {
        return Err(odd);
    };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| odd);
    let said: Header = serde_json::from_slice(&decode(header)?).map_err(|_| odd)?;
    if (said.alg.as_str(), said.enc.as_str()) != (KEY, TEXT) {
        return Err("is encrypted in a way that awskeep does not know");
    }
    let rounds = NonZeroU32::new(said.p2c)
        .filter(|rounds| rounds.get() <= MOST_ROUNDS)
        .ok_or(odd)?;
    let salt = [KEY.as_bytes(), &[0], &decode(&said.p2s)?].concat();
    let mut wrapping = Zeroizing::new([0; 16]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        passphrase,
        &mut *wrapping,
    );
    let wrapped: [u8; 40] = decode(key)?.try_into().map_err(|_| odd)?;
    let mut own_key = Zeroizing::new([0; 32]);
    KwAes128::new(&(*wrapping).into())
        .unwrap_key(&wrapped, &mut *own_key)
        .map_err(|_| "does not open with this passphrase")?;
    let own_key = UnboundKey::new(&AES_256_GCM, &*own_key).map_err(|_| odd)?;
    let nonce = Nonce::try_assume_unique_for_key(&decode(nonce)?).map_err(|_| odd)?;
    let mut sealed = Zeroizing::new(decode(text)?);
    sealed.extend(decode(tag)?);
    let length = LessSafeKey::new(own_key)
        .open_in_place(nonce, Aad::from(header.as_bytes()), &mut sealed)
        .map_err(|_| "is damaged")?
        .len();
    sealed.truncate(length);
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by joserfc 1.8.0 (Python) for the passphrase "open sesame".
    const FILE: [&str; 5] = [
        "eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJlbmMiOiJBMjU2R0NNIiwicDJjIjo4MTkyLCJjcmVhdGVkIjoiMjAyNi0wMS0wMSAwMDowMDowMCArMDAwMCBVVEMiLCJwMnMiOiIxdmdhVTRHS21La3FkNW9CWlZTS0JnIn0",
        "lrhx_3XcVaHzhwjEASVphs_uLvThZRstrsSni55jvlcXoFMi-5JiQA",
        "OEsSosLFrEtfvhEj",
        "xWl2Fx_VbwA3tamsb5faiSyluJp2Am1TrTPnav1TsJ3B9FIQQ_dlruLF4uuUNPar90LdvEIXGtbY_0fCvbvqE9nq2cLC-7O7_SCD8-ASfl0HclbzanEEYhbNeGZgqV4l0L9S6Nbc-5Au6FvT2-vHVhK7ifZSrlDdxjekoXRRGGBxQAhcvNK1cJXTLZX43iZUxobTsn0v4clzb8F0yyNhKldwWQ",
        "N64JZTiVLxacPL7OZ_5JcA",
    ];

    fn opened(parts: [&str; 5], passphrase: &str) -> Result<String, &'static str> {
        let text = open(&parts.join("."), passphrase.as_bytes())?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn header(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn what_another_implementation_wrote_is_opened() {
        let text = opened(FILE, "open sesame").unwrap();
        assert!(
            text.starts_with("{\"Key\": \"work\", \"Data\": \""),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let [head, key, nonce, text, tag] = FILE;
        let many =
            header(r#"{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2000000000,"p2s":"AAAA"}"#);
        let none = header(r#"{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":0,"p2s":"AAAA"}"#);
        let other = header(r#"{"alg":"dir","enc":"A256GCM","p2c":1,"p2s":"AAAA"}"#);
        let odd = "is not a file that aws-vault wrote";
        for (parts, passphrase, what) in [
            (FILE, "open sesam", "does not open with this passphrase"),
            (FILE, "", "does not open with this passphrase"),
            ([head, key, nonce, key, tag], "open sesame", "is damaged"),
            ([head, key, nonce, text, nonce], "open sesame", "is damaged"),
            ([head, key, tag, text, tag], "open sesame", odd),
            ([head, tag, nonce, text, tag], "open sesame", odd),
            ([&many, key, nonce, text, tag], "open sesame", odd),
            ([&none, key, nonce, text, tag], "open sesame", odd),
            ([tag, key, nonce, text, tag], "open sesame", odd),
            (
                [&other, key, nonce, text, tag],
                "open sesame",
                "is encrypted in a way that awskeep does not know",
            ),
        ] {
            assert_eq!(opened(parts, passphrase), Err(what));
        }
        assert_eq!(open("", b""), Err(odd));
        assert_eq!(open("....", b""), Err(odd));
    }

    proptest::proptest! {
        #[test]
        fn nothing_else_is_opened(parts in proptest::array::uniform5("[A-Za-z0-9_-]{0,60}"), which in 0..6usize) {
            let mut file: Vec<String> = FILE.iter().map(ToString::to_string).collect();
            if which < 5 {
                file[which].clone_from(&parts[which]);
            } else {
                file = parts.to_vec();
            }
            proptest::prop_assert!(open(&file.join("."), b"open sesame").is_err());
        }
    }
}
