//! What a client can ask an API server to send Pods as, and the file that has a recording so.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use client_go::Program;

/// The media type, and whether it is of the objects' metadata alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
    MetadataJson,
    MetadataProtobuf,
}

impl Encoding {
    /// The first that an Accept header names; JSON for those who take anything.
    pub(crate) fn accepted(header: &str) -> Self {
        header.split(',').find_map(Self::of_media_type).unwrap_or(Self::Json)
    }

    fn of_media_type(text: &str) -> Option<Self> {
        let mut words = text.split(';').map(str::trim);
        let media_type = words.next()?;
        // A list is asked for as PartialObjectMetadataList.
        let of_metadata = words.any(|word| word.starts_with("as=PartialObjectMetadata"));
        match (media_type, of_metadata) {
            (JSON, false) => Some(Self::Json),
            (JSON, true) => Some(Self::MetadataJson),
            (PROTOBUF, false) => Some(Self::Protobuf),
            (PROTOBUF, true) => Some(Self::MetadataProtobuf),
            _ => None,
        }
    }

    pub(crate) fn is_protobuf(self) -> bool {
        matches!(self, Self::Protobuf | Self::MetadataProtobuf)
    }

    /// The Content-Type of a watch.
    pub(crate) fn of_watch(self) -> &'static str {
        if self.is_protobuf() { "application/vnd.kubernetes.protobuf;stream=watch" } else { JSON }
    }

    /// The file beside the recording, which is JSON.
    pub(crate) fn file(self, recording: &Path) -> PathBuf {
        recording.with_extension(match self {
            Self::Json => "ndjson",
            Self::Protobuf => "pb",
            Self::MetadataJson => "metadata.ndjson",
            Self::MetadataProtobuf => "metadata.pb",
        })
    }

    pub(crate) fn all() -> [Self; 4] {
        [Self::Json, Self::Protobuf, Self::MetadataJson, Self::MetadataProtobuf]
    }
}

/// Writes the recording in all other encodings, with the API server's own serializers.
pub(crate) fn encode(recording: &Path) -> anyhow::Result<()> {
    let mut encode = Command::new(Program::EncodeRecording.path()?);
    encode.arg("-json").arg(recording);
    encode.arg("-protobuf").arg(Encoding::Protobuf.file(recording));
    encode.arg("-metadata-json").arg(Encoding::MetadataJson.file(recording));
    encode.arg("-metadata-protobuf").arg(Encoding::MetadataProtobuf.file(recording));
    let status = encode.status().context("cannot start encode_recording")?;
    anyhow::ensure!(status.success(), "the recording was not encoded: {status}");
    Ok(())
}

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_media_type_counts() {
        let encoding = |header: &str| Encoding::accepted(header);
        assert_eq!(encoding("application/vnd.kubernetes.protobuf, */*"), Encoding::Protobuf);
        assert_eq!(encoding("application/json"), Encoding::Json);
        assert_eq!(encoding(""), Encoding::Json);
        assert_eq!(encoding("*/*"), Encoding::Json);
        let of_metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
        assert_eq!(encoding(of_metadata), Encoding::MetadataJson);
        let either = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
                      application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
        assert_eq!(encoding(either), Encoding::MetadataProtobuf);
        assert_eq!(encoding("application/cbor, application/json;q=0.9"), Encoding::Json);
    }
}
