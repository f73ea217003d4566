//! The formats of data, and how they are told by a file's name.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Format {
    /// One JSON array of objects (RFC 8259)
    Json,
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values under a header (RFC 4180)
    Csv,
    /// The same with tabs
    Tsv,
    /// Apache Parquet
    Parquet,
    /// Arrow's IPC file, also known as Feather
    Arrow,
}

impl Format {
    /// The format that a file's name tells, behind the ending of a compression.
    pub fn of(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = Compression::of(path).and_then(|packed| name.strip_suffix(packed.ending())).unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "json" => Some(Format::Json),
            "ndjson" | "jsonl" => Some(Format::Ndjson),
            "csv" => Some(Format::Csv),
            "tsv" => Some(Format::Tsv),
            "parquet" => Some(Format::Parquet),
            "arrow" | "feather" => Some(Format::Arrow),
            _ => None,
        }
    }

    /// Whether rows are objects of JSON.
    pub fn is_json(self) -> bool {
        matches!(self, Format::Json | Format::Ndjson)
    }
}

/// A compression that output is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// gzip
    Gzip,
    /// Zstandard
    Zstd,
}

impl Compression {
    /// The compression that a file's name tells.
    pub fn of(path: &Path) -> Option<Compression> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        [Compression::Gzip, Compression::Zstd].into_iter().find(|packed| name.ends_with(packed.ending()))
    }

    fn ending(self) -> &'static str {
        match self {
            Compression::Gzip => ".gz",
            Compression::Zstd => ".zst",
        }
    }

    /// The bytes as a member (gzip) or a frame (Zstandard) of their own: files of several are read as one.
    ///
    /// # Errors
    /// When the encoder cannot be set up.
    pub fn pack(self, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                std::io::Write::write_all(&mut encoder, bytes)?;
                encoder.finish()
            }
            Compression::Zstd => zstd::bulk::compress(bytes, zstd::DEFAULT_COMPRESSION_LEVEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format, packed) in [
            ("a/b.json", Some(Format::Json), None),
            ("b.JSONL.gz", Some(Format::Ndjson), Some(Compression::Gzip)),
            ("x.y.ndjson", Some(Format::Ndjson), None),
            ("b.csv.zst", Some(Format::Csv), Some(Compression::Zstd)),
            ("b.tsv", Some(Format::Tsv), None),
            ("b.parquet", Some(Format::Parquet), None),
            ("b.Arrow", Some(Format::Arrow), None),
            ("b.feather", Some(Format::Arrow), None),
            ("csv", None, None),
            ("b.txt", None, None),
            ("-", None, None),
        ] {
            assert_eq!((Format::of(Path::new(name)), Compression::of(Path::new(name))), (format, packed), "{name}");
        }
    }
}
