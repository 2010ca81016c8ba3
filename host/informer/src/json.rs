//! An object's JSON: text while it is new, compressed when it is at rest.
//!
//! Whoever holds the object holds the same JSON, so compressing it shrinks it for the cache and for
//! every queue at once, and nobody notices. It is never turned back: a reader gets a text of its own.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::dictionary::{Compressed, Encoder};

/// JSON text, in the server's spelling. Two are equal if their texts are.
pub struct Json {
    /// Bytes of the text.
    len: usize,
    /// Where in it the value of the member `status` is; empty if that is not known.
    status: Range<u32>,
    form: RwLock<Form>,
}

enum Form {
    /// Not `Arc<str>`, into which a text would have to be copied.
    Text(Arc<String>),
    Compressed(Compressed),
}

/// What [`Json::text`] gives: the text itself, shared as long as it is not compressed.
#[derive(Clone)]
pub struct JsonText {
    text: Text,
    status: Range<u32>,
}

#[derive(Clone)]
enum Text {
    Shared(Arc<String>),
    Own(String),
}

/// The JSON is cached and cannot be read: memory is damaged, or exhausted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the JSON of a cached object cannot be decompressed: {0}")]
pub struct UnreadableJson(pub(crate) String);

impl Json {
    /// The text. If it is compressed, this takes some microseconds, and memory until it is dropped.
    pub fn text(&self) -> Result<JsonText, UnreadableJson> {
        let text = match &*self.form() {
            Form::Text(text) => Text::Shared(text.clone()),
            Form::Compressed(compressed) => Text::Own(compressed.decompress(self.len)?),
        };
        Ok(JsonText { text, status: self.status.clone() })
    }

    /// Remembers where in the text the value of the object's member `status` is. Handlers look there most, and it comes
    /// last: whoever knows where, need not read all that stands before it.
    pub fn with_status(mut self, at: Range<usize>) -> Self {
        let end = u32::try_from(at.end).unwrap_or(0);
        self.status = u32::try_from(at.start).unwrap_or(0).min(end)..end;
        self
    }

    /// Bytes of the text, however it is held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The text is empty, which no JSON is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether [`Json::text`] has to decompress it.
    pub fn is_compressed(&self) -> bool {
        matches!(&*self.form(), Form::Compressed(_))
    }

    /// From now on it is compressed, if that makes it much smaller.
    pub(crate) fn compress(&self, encoder: &Encoder) {
        // Readers do not wait for the compression, but for the swap alone.
        let text = match &*self.form() {
            Form::Text(text) => text.clone(),
            Form::Compressed(_) => return,
        };
        if let Some(compressed) = encoder.compress(&text) {
            *self.form.write().unwrap_or_else(PoisonError::into_inner) =
                Form::Compressed(compressed);
        }
    }

    fn form(&self) -> RwLockReadGuard<'_, Form> {
        // A form is swapped as a whole.
        self.form.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Into<String>> From<T> for Json {
    /// Best of a text that has no room to spare, which would be kept.
    fn from(text: T) -> Self {
        let text = text.into();
        Self { len: text.len(), status: 0..0, form: RwLock::new(Form::Text(Arc::new(text))) }
    }
}

impl PartialEq for Json {
    /// What cannot be read is equal to nothing else.
    fn eq(&self, other: &Self) -> bool {
        let is_same = || matches!((self.text(), other.text()), (Ok(a), Ok(b)) if *a == *b);
        std::ptr::eq(self, other) || (self.len == other.len && is_same())
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    /// Without the text: it may be a Secret's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of JSON", self.len)
    }
}

impl JsonText {
    /// The text, copied only if others have it too.
    pub fn into_string(self) -> String {
        match self.text {
            Text::Shared(text) => Arc::unwrap_or_clone(text),
            Text::Own(text) => text,
        }
    }

    /// The text of the member `status`, if it was noted where that is.
    pub fn status(&self) -> Option<&str> {
        let at = self.status.start as usize..self.status.end as usize;
        self.get(at).filter(|status| !status.is_empty())
    }
}

impl Deref for JsonText {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.text {
            Text::Shared(text) => text,
            Text::Own(text) => text,
        }
    }
}

#[cfg(test)]
mod tests;
