//! Static files: the directories of `static_map`, served without the application.
//!
//! ```text
//!   url_path          the path of a request, decoded once; what of it may name a file
//!   place             what a mapping names, and how files in it are opened
//!     beneath         opens a file below a directory and nothing else
//!   content_coding    which variant of a file: .br, .zst, .gz or none
//!   validators        ETag and Last-Modified of a file
//!   preconditions     whether the client has the file already
//!   byte_ranges       the parts of the file that it wants
//!   media_type        the type of the file, by its name
//!   file_answer       the response, made of all that
//! ```
//!
//! The event loop calls this, so a file is served while all request threads are busy and needs no interpreter. It waits
//! for the disk when a file is not in the page cache, as nginx does; never for a client, a FIFO or a device.

mod beneath;
mod byte_ranges;
mod content_coding;
mod file_answer;
mod media_type;
mod place;
mod preconditions;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod url_path;
mod validators;

use std::io;
use std::time::{Instant, SystemTime};

use http::StatusCode;
use log::{error, warn};
use oxicorn_common::Settings;
use oxicorn_common::request::RequestHead;
use oxicorn_common::settings::CacheRule;
use rustix::io::Errno;

use content_coding::ContentCoding;
use media_type::MediaType;
use place::{Found, OpenFile, StaticPlace};
use url_path::{RelativeName, UrlPath, below};

pub(crate) use file_answer::FileAnswer;

/// A file that is replaced all the time is opened so often before the client gets an error.
const ATTEMPTS: usize = 3;

/// The mappings of a worker.
#[derive(Debug)]
pub(crate) struct StaticFiles {
    /// The longest prefix first.
    maps: Vec<MappedPlace>,
    index: Option<String>,
    cache_rules: Vec<CacheRule>,
    /// The mount point of the application, if there is one.
    mount: String,
}

#[derive(Debug)]
struct MappedPlace {
    prefix: String,
    place: StaticPlace,
}

/// A file that the client may have, with what the response says of it.
#[derive(Debug)]
struct ChosenFile {
    open: OpenFile,
    media_type: MediaType,
    coding: Option<ContentCoding>,
}

/// What a path stands for.
#[derive(Debug)]
enum PathLookup {
    File(ChosenFile),
    /// A directory without its final slash.
    Directory,
    Nothing(StatusCode),
}

impl StaticFiles {
    /// `None` if nothing is mapped.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        let files = &settings.static_files;
        let mut maps: Vec<_> = files
            .maps
            .iter()
            .map(|map| MappedPlace {
                prefix: map.prefix.clone(),
                place: StaticPlace::new(&map.place),
            })
            .collect();
        maps.sort_by_key(|map| std::cmp::Reverse(map.prefix.len()));
        let mount = match settings.proxy.root_path.as_str() {
            "" => std::env::var("SCRIPT_NAME").unwrap_or_default(),
            root_path => root_path.to_owned(),
        };
        (!maps.is_empty()).then(|| Self {
            maps,
            index: files.index.clone(),
            cache_rules: files.cache_rules.clone(),
            mount,
        })
    }

    /// Whether the request is for a mapping. `is_trusted` if its fields may name the mount point.
    pub(crate) fn covers(&self, head: &RequestHead, is_trusted: bool) -> bool {
        let path = UrlPath::decode(head.path_octets());
        self.find(&path, head, is_trusted).is_some()
    }

    /// Answers a request that a mapping covers.
    pub(crate) fn answer(
        &mut self,
        head: &RequestHead,
        is_trusted: bool,
        now: Instant,
    ) -> FileAnswer {
        if !matches!(head.method(), "GET" | "HEAD") {
            return FileAnswer::wrong_method();
        }
        let path = UrlPath::decode(head.path_octets());
        let Some((at, rest)) = self.find(&path, head, is_trusted) else {
            return FileAnswer::error(StatusCode::NOT_FOUND);
        };
        let is_root = self.maps[at].prefix.is_empty();
        let Some(name) = RelativeName::of(rest, is_root) else {
            return FileAnswer::error(StatusCode::NOT_FOUND);
        };
        for _ in 0..ATTEMPTS {
            let found = self
                .look_up(at, &name, head, now)
                .unwrap_or_else(|error| PathLookup::Nothing(status_of(error, head)));
            let chosen = match found {
                PathLookup::File(chosen) => chosen,
                PathLookup::Directory => return FileAnswer::redirect(head),
                PathLookup::Nothing(status) => return FileAnswer::error(status),
            };
            let cache_control = self.cache_control(path.octets());
            let wall = SystemTime::now();
            match FileAnswer::of(chosen, head, cache_control, wall) {
                Ok(answer) => return answer,
                // It has become shorter since it was opened.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => {
                    error!("static_map: {}: {error}", head.path());
                    return FileAnswer::error(StatusCode::INTERNAL_SERVER_ERROR);
                }
            }
        }
        error!("{} changes faster than it can be read", head.path());
        FileAnswer::error(StatusCode::SERVICE_UNAVAILABLE)
    }

    /// The mapping of a path, and what of the path lies below it. A mapping is for the path as it comes or for the part
    /// below the mount point, so it can be written as the URLs are or as the application sees them.
    fn find<'p>(
        &self,
        path: &'p UrlPath<'_>,
        head: &RequestHead,
        is_trusted: bool,
    ) -> Option<(usize, &'p [u8])> {
        let forwarded = match is_trusted {
            true => head.field("script_name"),
            false => None,
        };
        let mount = forwarded.unwrap_or(self.mount.as_bytes());
        let mount = mount.strip_suffix(b"/").unwrap_or(mount);
        let inner = match mount {
            [] => None,
            _ => path.below(mount),
        };
        std::iter::once(path.octets())
            .chain(inner)
            .find_map(|path| {
                let mut maps = self.maps.iter().enumerate();
                maps.find_map(|(at, map)| Some((at, below(path, map.prefix.as_bytes())?)))
            })
    }

    fn look_up(
        &mut self,
        at: usize,
        name: &RelativeName,
        head: &RequestHead,
        now: Instant,
    ) -> Result<PathLookup, Errno> {
        let place = &mut self.maps[at].place;
        let index = self.index.as_deref();
        if name.ends_with_slash {
            let name = name.with(index.ok_or(Errno::NOENT)?);
            return match place.open(&name, "", now)? {
                Found::File(open) => Ok(PathLookup::File(choose(place, &name, open, head, now))),
                Found::Directory => Err(Errno::NOENT),
            };
        }
        let is_directory = |place: &mut StaticPlace| {
            let index = name.with(index.ok_or(Errno::NOENT)?);
            Ok(matches!(place.open(&index, "", now)?, Found::File(_)))
        };
        match place.open(&name.name, "", now) {
            Ok(Found::File(open)) => {
                Ok(PathLookup::File(choose(place, &name.name, open, head, now)))
            }
            Ok(Found::Directory) => match is_directory(place)? {
                true => Ok(PathLookup::Directory),
                false => Err(Errno::NOENT),
            },
            // A directory may be searched by those who may not read it.
            Err(Errno::ACCESS) if is_directory(place) == Ok(true) => Ok(PathLookup::Directory),
            Err(error) => Err(error),
        }
    }

    fn cache_control(&self, path: &[u8]) -> Option<&str> {
        if self.cache_rules.is_empty() {
            return None;
        }
        let path = String::from_utf8_lossy(path);
        let rule = self.cache_rules.iter().find(|rule| rule.matches(&path));
        rule.map(|rule| rule.value.as_str())
    }
}

/// The best variant of a file for the client, or the file itself.
fn choose(
    place: &mut StaticPlace,
    name: &[u8],
    open: OpenFile,
    head: &RequestHead,
    now: Instant,
) -> ChosenFile {
    let media_type = MediaType::of(place.file_name(name));
    let variant = match media_type.is_compressible() {
        true => content_coding::accepted(head).find_map(|coding| {
            match place.open(name, coding.ending(), now) {
                Ok(Found::File(open)) => Some((open, coding)),
                _ => None,
            }
        }),
        false => None,
    };
    let (open, coding) = match variant {
        Some((open, coding)) => (open, Some(coding)),
        None => (open, None),
    };
    ChosenFile {
        open,
        media_type,
        coding,
    }
}

/// The status for a file that cannot be opened. What is not the client's fault is logged.
fn status_of(error: Errno, head: &RequestHead) -> StatusCode {
    match error {
        Errno::NOENT
        | Errno::NOTDIR
        | Errno::NAMETOOLONG
        | Errno::LOOP
        | Errno::XDEV
        | Errno::NXIO
        | Errno::NODEV
        | Errno::INVAL
        | Errno::ILSEQ => StatusCode::NOT_FOUND,
        Errno::ACCESS | Errno::PERM => {
            warn!("static_map: {}: {error}", head.path());
            StatusCode::FORBIDDEN
        }
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
            error!("static_map: {}: {error}", head.path());
            StatusCode::SERVICE_UNAVAILABLE
        }
        _ => {
            error!("static_map: {}: {error}", head.path());
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}
