//! [`FileAnswer`]: the response to a request for a static file, ready to be sent.

use std::collections::VecDeque;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::SystemTime;

use http::StatusCode;
use oxicorn_common::request::RequestHead;
use oxicorn_common::response::{BodyStream, Response, ResponseBody};

use super::ChosenFile;
use super::byte_ranges::{self, ByteRange, WantedRanges};
use super::media_type::MediaType;
use super::preconditions::{self, Verdict};
use super::validators::Validators;
use crate::response::{FilePart, FileParts};

/// Shorter files are read and leave in one packet with their head; the kernel sends others from its cache.
const READ_AT_ONCE: u64 = 8 * 1024;

/// A response, whose content may follow from a file.
#[derive(Debug)]
pub(crate) struct FileAnswer {
    /// Its body has the length of the content, and the octets if they are not in `content`.
    pub(crate) response: Response,
    pub(crate) content: Option<FileParts>,
}

impl FileAnswer {
    /// The answer with a file. The error is `UnexpectedEof` if the file has become shorter meanwhile.
    pub(super) fn of(
        chosen: ChosenFile,
        head: &RequestHead,
        cache_control: Option<&str>,
        now: SystemTime,
    ) -> io::Result<Self> {
        let ChosenFile {
            open,
            media_type,
            coding,
        } = chosen;
        let validators = Validators::of(&open.stat, coding, now);
        let size = u64::try_from(open.stat.st_size).unwrap_or(0);
        let verdict = preconditions::judge(head, &validators);
        if verdict == Verdict::Failed {
            return Ok(Self::error(StatusCode::PRECONDITION_FAILED));
        }
        let is_get = head.method() == "GET";
        let wanted = match is_get && verdict == Verdict::Send {
            true => byte_ranges::wanted(head, size),
            false => WantedRanges::Whole,
        };
        let wanted = match wanted {
            WantedRanges::Whole => wanted,
            _ if !preconditions::allow_range(head, &validators) => WantedRanges::Whole,
            _ => wanted,
        };
        if wanted == WantedRanges::Unsatisfiable {
            return Ok(Self::unsatisfiable(size));
        }
        let mut response = Response::new(match (verdict, &wanted) {
            (Verdict::NotModified, _) => StatusCode::NOT_MODIFIED,
            (_, WantedRanges::Some(_)) => StatusCode::PARTIAL_CONTENT,
            _ => StatusCode::OK,
        });
        if let Some(date) = validators.date() {
            response = response.field("Last-Modified", date);
        }
        response = response.field("ETag", validators.tag);
        if media_type.is_compressible() {
            response = response.field("Vary", "Accept-Encoding");
        }
        if let Some(value) = cache_control {
            response = response.field("Cache-Control", value.to_owned());
        }
        if verdict == Verdict::NotModified {
            return Ok(Self::whole(response));
        }
        if let Some(coding) = coding {
            response = response.field("Content-Encoding", coding.name());
        }
        response = response.field("Accept-Ranges", "bytes");
        let ranges = match wanted {
            WantedRanges::Some(ranges) => ranges,
            _ => {
                let whole = ByteRange {
                    start: 0,
                    end: size,
                };
                let response = response.field("Content-Type", media_type.0);
                return Self::with_range(response, open.file, whole, is_get);
            }
        };
        match ranges.as_slice() {
            [one] => {
                let response = response
                    .field("Content-Type", media_type.0)
                    .field("Content-Range", content_range(*one, size));
                Self::with_range(response, open.file, *one, true)
            }
            _ => Ok(Self::with_ranges(
                response, open.file, &ranges, media_type, size,
            )),
        }
    }

    /// A directory: the relative reference to the path with a slash behind it stays on this host, whatever the path is
    /// (RFC 3986 section 4.2), and is right behind any proxy.
    pub(super) fn redirect(head: &RequestHead) -> Self {
        let path = head.path();
        let name = &path[path.rfind('/').map_or(0, |at| at + 1)..];
        let query = head
            .query()
            .map_or_else(String::new, |query| format!("?{query}"));
        let response = Response::new(StatusCode::MOVED_PERMANENTLY);
        Self::text(response.field("Location", format!("./{name}/{query}")))
    }

    pub(super) fn error(status: StatusCode) -> Self {
        let response = Response::new(status);
        Self::text(match status {
            StatusCode::SERVICE_UNAVAILABLE => response.field("Retry-After", "1"),
            _ => response,
        })
    }

    pub(super) fn wrong_method() -> Self {
        let response = Response::new(StatusCode::METHOD_NOT_ALLOWED);
        Self::text(response.field("Allow", "GET, HEAD"))
    }

    fn unsatisfiable(size: u64) -> Self {
        let response = Response::new(StatusCode::RANGE_NOT_SATISFIABLE);
        Self::text(response.field("Content-Range", format!("bytes */{size}")))
    }

    /// A status with its reason phrase as content.
    fn text(response: Response) -> Self {
        let status = response.status;
        let reason = status.canonical_reason().unwrap_or_default();
        let text = format!("{} {reason}\n", status.as_str());
        let response = response
            .field("Content-Type", "text/plain; charset=utf-8")
            .body(ResponseBody::Bytes(text.into_bytes()));
        Self::whole(response)
    }

    fn whole(response: Response) -> Self {
        Self {
            response,
            content: None,
        }
    }

    /// One range, which may be the whole file. Not `is_read` if the response has no content.
    fn with_range(
        response: Response,
        file: File,
        range: ByteRange,
        is_read: bool,
    ) -> io::Result<Self> {
        if is_read && range.length() <= READ_AT_ONCE {
            let mut octets = vec![0; usize::try_from(range.length()).unwrap_or(0)];
            file.read_exact_at(&mut octets, range.start)?;
            return Ok(Self::whole(response.body(ResponseBody::Bytes(octets))));
        }
        let part = FilePart {
            before: Vec::new(),
            offset: range.start,
            length: range.length(),
        };
        Ok(Self {
            response: response.body(of_length(range.length())),
            content: Some(FileParts {
                file,
                parts: VecDeque::from([part]),
            }),
        })
    }

    /// Several ranges (RFC 9110 section 14.6).
    fn with_ranges(
        response: Response,
        file: File,
        ranges: &[ByteRange],
        media_type: MediaType,
        size: u64,
    ) -> Self {
        let boundary = boundary();
        let parts = ranges.iter().map(|range| FilePart {
            before: format!(
                "\r\n--{boundary}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n",
                media_type.0,
                content_range(*range, size)
            )
            .into_bytes(),
            offset: range.start,
            length: range.length(),
        });
        let end = FilePart {
            before: format!("\r\n--{boundary}--\r\n").into_bytes(),
            offset: 0,
            length: 0,
        };
        let parts: VecDeque<_> = parts.chain([end]).collect();
        let length = parts.iter().map(FilePart::octets).sum();
        let media_type = format!("multipart/byteranges; boundary={boundary}");
        Self {
            response: response
                .field("Content-Type", media_type)
                .body(of_length(length)),
            content: Some(FileParts { file, parts }),
        }
    }
}

fn content_range(range: ByteRange, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// Stands for content that follows.
fn of_length(octets: u64) -> ResponseBody {
    ResponseBody::Stream(BodyStream {
        first: None,
        rest: Box::new(std::iter::empty()),
        length: Some(octets),
    })
}

/// Nobody can have put it into the file.
fn boundary() -> String {
    let random = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", random(), random())
}
