//! What the objects of one resource have in common, and how their JSON is compressed with it.
//!
//! A Pod is 4 KB of which a few hundred bytes are its own; the rest stands in every other Pod. zstd
//! finds that in no single object, but in a dictionary made of some of them.
//!
//! The contexts that zstd works in are as large as many objects and hold nothing between two calls,
//! so each thread has one, for all resources.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zstd::dict::{DecoderDictionary, EncoderDictionary};
use zstd::zstd_safe::{CCtx, DCtx, compress_bound, get_error_name};

use crate::json::UnreadableJson;

/// Compresses with one dictionary.
pub(crate) struct Encoder {
    encoder: EncoderDictionary<'static>,
    dictionary: Arc<Dictionary>,
}

/// The half of a dictionary that must live as long as what was compressed with it.
struct Dictionary {
    decoder: DecoderDictionary<'static>,
    /// Bytes that are compressed, with this dictionary and those before it.
    compressed_bytes: Arc<AtomicUsize>,
}

/// A compressed text.
pub(crate) struct Compressed {
    bytes: Box<[u8]>,
    dictionary: Arc<Dictionary>,
}

impl Encoder {
    /// A dictionary of these texts. `compressed_bytes` is kept up to date with what is compressed with
    /// it and still there.
    pub(crate) fn of_samples(samples: &[&[u8]], compressed_bytes: Arc<AtomicUsize>) -> Self {
        // Too few, or too much alike: then the texts themselves are the dictionary, which is slower.
        let content = zstd::dict::from_samples(samples, DICTIONARY_BYTES).unwrap_or_else(|_| {
            let bytes = samples.iter().flat_map(|sample| sample.iter().copied());
            bytes.take(DICTIONARY_BYTES).collect()
        });
        let decoder = DecoderDictionary::copy(&content);
        Self {
            encoder: EncoderDictionary::copy(&content, LEVEL),
            dictionary: Arc::new(Dictionary { decoder, compressed_bytes }),
        }
    }

    /// None if that would save less than a quarter.
    pub(crate) fn compress(&self, text: &str) -> Option<Compressed> {
        let bytes = COMPRESSION.with_borrow_mut(|(context, buffer)| {
            buffer.clear();
            buffer.reserve(compress_bound(text.len()));
            let cdict = self.encoder.as_cdict();
            let compressed = context.compress_using_cdict(buffer, text.as_bytes(), cdict);
            let is_small = compressed.is_ok() && buffer.len() <= text.len() / 4 * 3;
            let bytes = is_small.then(|| Box::from(buffer.as_slice()));
            buffer.shrink_to(BUFFER_KEPT);
            bytes
        })?;
        Some(Compressed::new(bytes, self.dictionary.clone()))
    }
}

impl Compressed {
    fn new(bytes: Box<[u8]>, dictionary: Arc<Dictionary>) -> Self {
        dictionary.compressed_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, dictionary }
    }

    /// The text, which is of `len` bytes.
    pub(crate) fn decompress(&self, len: usize) -> Result<String, UnreadableJson> {
        let mut text = Vec::with_capacity(len);
        let ddict = self.dictionary.decoder.as_ddict();
        let result = DECOMPRESSION.with_borrow_mut(|context| {
            context.decompress_using_ddict(&mut text, &self.bytes, ddict)
        });
        match result {
            Ok(decompressed) if decompressed == len => {
                String::from_utf8(text).map_err(|error| UnreadableJson(error.to_string()))
            }
            Ok(decompressed) => {
                Err(UnreadableJson(format!("it has {decompressed} bytes instead of {len}")))
            }
            Err(code) => Err(UnreadableJson(get_error_name(code).to_owned())),
        }
    }

    #[cfg(test)]
    pub(crate) fn damage(&mut self) {
        let at = self.bytes.len() / 2;
        self.bytes = self.bytes[..at].into();
    }
}

impl Drop for Compressed {
    fn drop(&mut self) {
        self.dictionary.compressed_bytes.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

thread_local! {
    static COMPRESSION: RefCell<(CCtx<'static>, Vec<u8>)> =
        RefCell::new((CCtx::create(), Vec::new()));
    static DECOMPRESSION: RefCell<DCtx<'static>> = RefCell::new(DCtx::create());
}

/// The fastest that still encodes what no dictionary can have, such as uids and digests.
const LEVEL: i32 = 1;

/// Measured with Pods of 4 KB: half of it costs a few percent of size and as much time, the double saves
/// nothing and costs time.
const DICTIONARY_BYTES: usize = 16 << 10;

/// A large object's buffer is not kept.
const BUFFER_KEPT: usize = 256 << 10;
