//! A sha256: what a module is pinned by and known by.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN, digest};

/// The sha256 of some bytes; written as `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    /// Of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from(digest(&SHA256, bytes))
    }

    /// The 64 digits alone, lower-case.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the digits stand for.
    pub(super) fn bytes(self) -> [u8; SHA256_OUTPUT_LEN] {
        self.0
    }

    /// Of 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        if text.len() != 2 * bytes.len() || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl From<aws_lc_rs::digest::Digest> for Digest {
    fn from(digest: aws_lc_rs::digest::Digest) -> Self {
        let mut bytes = [0; SHA256_OUTPUT_LEN];
        // Of that length, since the algorithm is SHA256.
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Digest {
    type Err = String;

    /// In the form in which it is written.
    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix("sha256:").and_then(Self::from_hex).ok_or_else(|| {
            format!(
                "{text:?} must be `sha256:` and 64 hexadecimal digits; no other digest is taken"
            )
        })
    }
}

/// The digest of bytes that come piece by piece.
pub(super) struct Hasher(Context);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Digest {
        Digest::from(self.0.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The one of no bytes at all, as FIPS 180-4's examples have it.
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn it_is_read_as_it_is_written() {
        let digest = Digest::of(b"");
        assert_eq!(digest.hex(), OF_NOTHING);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(Digest::from_hex(&OF_NOTHING.to_uppercase()), Some(digest));
        let mut hasher = Hasher::new();
        hasher.update(b"a");
        hasher.update(b"b");
        assert_eq!(hasher.finish(), Digest::of(b"ab"));
    }

    #[test]
    fn other_forms_are_refused() {
        let short = &OF_NOTHING[1..];
        for text in
            [OF_NOTHING, "sha256:", &format!("sha256:{short}"), &format!("sha512:{OF_NOTHING}")]
        {
            assert!(text.parse::<Digest>().unwrap_err().contains("64 hexadecimal"), "{text}");
        }
        for text in [short, &format!("+{short}"), &format!("é{}", &short[1..])] {
            assert_eq!(Digest::from_hex(text), None, "{text}");
        }
    }
}
