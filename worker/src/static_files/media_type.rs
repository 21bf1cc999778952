//! The media type of a file, by the ending of its name. A table of our own: it has what web sites have, and each text
//! says that it is UTF-8. A crate would bring a thousand types without that.

/// The types of names that end in `.` and one of these, in lower case.
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("br", "application/x-brotli"),
    ("bz2", "application/x-bzip2"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("eot", "application/vnd.ms-fontobject"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("log", "text/plain; charset=utf-8"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mid", "audio/midi"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("ps", "application/postscript"),
    ("rar", "application/vnd.rar"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "application/toml"),
    ("ts", "video/mp2t"),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vcf", "text/vcard; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("xsl", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];
const LONGEST: usize = 11;
const UNKNOWN: &str = "application/octet-stream";

/// What is in a file, for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MediaType(pub(super) &'static str);

impl MediaType {
    /// That of a file with this path.
    pub(super) fn of(path: &[u8]) -> Self {
        let start = memchr::memrchr(b'.', path).map_or(path.len(), |at| at + 1);
        let ending = &path[start..];
        let mut lower = [0; LONGEST];
        let Some(lower) = lower.get_mut(..ending.len()) else {
            return Self(UNKNOWN);
        };
        lower.copy_from_slice(ending);
        lower.make_ascii_lowercase();
        let found = TYPES.binary_search_by(|(known, _)| known.as_bytes().cmp(lower));
        Self(found.map_or(UNKNOWN, |at| TYPES[at].1))
    }

    /// Whether variants of the file may be smaller: not if its format is compressed already.
    pub(super) fn is_compressible(self) -> bool {
        let Self(name) = self;
        let is_plain = [
            "image/svg+xml",
            "image/bmp",
            "image/x-icon",
            "audio/wav",
            "audio/midi",
        ];
        let is_media = ["image/", "audio/", "video/"];
        let is_packed = [
            "application/gzip",
            "application/zip",
            "application/zstd",
            "application/x-brotli",
            "application/x-bzip2",
            "application/x-xz",
            "application/x-7z-compressed",
            "application/vnd.rar",
            "application/epub+zip",
            "font/woff",
            "font/woff2",
        ];
        is_plain.contains(&name)
            || !(is_packed.contains(&name) || is_media.iter().any(|it| name.starts_with(it)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_searched() {
        assert!(TYPES.is_sorted());
        let longest = TYPES.iter().map(|(ending, _)| ending.len()).max();
        assert_eq!(longest, Some(LONGEST));
        for (ending, media_type) in TYPES {
            let path = format!("a.b/c.{}", ending.to_uppercase());
            assert_eq!(MediaType::of(path.as_bytes()).0, *media_type);
        }
    }

    #[test]
    fn other_names_have_octets() {
        for path in [
            "",
            "a",
            "a.",
            "a.unknown",
            "a.webmanifestx",
            "css",
            "a.css~",
        ] {
            assert_eq!(MediaType::of(path.as_bytes()).0, UNKNOWN, "{path}");
        }
    }

    #[test]
    fn what_is_compressed_has_no_variants() {
        let is_compressible = |path: &str| MediaType::of(path.as_bytes()).is_compressible();
        for path in [
            "a.css",
            "a.svg",
            "a.wasm",
            "a.ico",
            "a.unknown",
            "a.ttf",
            "a.tar",
        ] {
            assert!(is_compressible(path), "{path}");
        }
        for path in ["a.png", "a.mp4", "a.woff2", "a.gz", "a.zip", "a.br"] {
            assert!(!is_compressible(path), "{path}");
        }
    }
}
