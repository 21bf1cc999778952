//! The values of the settings for static files, and how they are read.

use std::fmt;
use std::path::{Path, PathBuf};

use glob::Pattern;

use super::parse::Parsed;

/// Static files are on if there is a mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaticSettings {
    pub maps: Vec<StaticMap>,
    /// The first that matches counts.
    pub cache_rules: Vec<CacheRule>,
    /// The file that stands for its directory; `None` if directories are not served.
    pub index: Option<String>,
}

/// A directory whose files are served below a path, or one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticMap {
    /// The path of URLs, percent-decoded, without a final slash; empty is the root.
    pub prefix: String,
    /// A directory or a file; absolute once all settings are read.
    pub place: PathBuf,
}

/// The `Cache-Control` of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRule {
    pattern: Pattern,
    /// The value of the field.
    pub value: String,
}

impl StaticSettings {
    /// Reads `PREFIX=PLACE`, or several with commas between them.
    pub(super) fn add_maps(&mut self, text: &str) -> Parsed<()> {
        for item in items(text) {
            let map = StaticMap::parse(item)?;
            if self.maps.iter().any(|other| other.prefix == map.prefix) {
                return Err(format!(
                    "one place for each path: {} is there twice",
                    map.prefix()
                ));
            }
            self.maps.push(map);
        }
        Ok(())
    }

    pub(super) fn add_cache_rule(&mut self, text: &str) -> Parsed<()> {
        self.cache_rules.push(CacheRule::parse(text)?);
        Ok(())
    }

    /// Makes the places absolute.
    pub(super) fn settle(&mut self, base: &Path) {
        for map in &mut self.maps {
            map.place = base.join(&map.place);
        }
    }

    /// The first mapping whose place does not exist.
    pub(super) fn find_missing(&self) -> Option<&StaticMap> {
        self.maps.iter().find(|map| !map.place.exists())
    }
}

impl StaticMap {
    fn parse(text: &str) -> Parsed<Self> {
        let expected =
            || "/PATH=DIRECTORY or /PATH=FILE, such as /static=/srv/shop/static".to_owned();
        let (prefix, place) = text.split_once('=').ok_or_else(expected)?;
        if !prefix.starts_with('/') || place.is_empty() {
            return Err(expected());
        }
        let prefix = decode(prefix.trim_end_matches('/'));
        let prefix = prefix.ok_or("a path whose percent-encoding is correct")?;
        let mut segments = prefix.split('/').skip(1);
        if prefix.contains(['?', '#', '\0']) || segments.any(|it| matches!(it, "" | "." | "..")) {
            return Err(
                "a path such as /static, without a query, dots or double slashes".to_owned(),
            );
        }
        let place = PathBuf::from(place);
        Ok(Self { prefix, place })
    }

    /// The path of URLs; `/` is the root.
    pub fn prefix(&self) -> &str {
        match self.prefix.as_str() {
            "" => "/",
            prefix => prefix,
        }
    }
}

impl fmt::Display for StaticMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.prefix().replace('%', "%25").replace('=', "%3D");
        write!(f, "{prefix}={}", self.place.display())
    }
}

impl CacheRule {
    fn parse(text: &str) -> Parsed<Self> {
        let expected = || "PATTERN=VALUE, such as *.css=max-age=3600".to_owned();
        let (pattern, value) = text.split_once('=').ok_or_else(expected)?;
        let value = value.trim();
        if pattern.is_empty() || value.is_empty() {
            return Err(expected());
        }
        if value.chars().any(char::is_control) {
            return Err("the value of a header field, without control characters".to_owned());
        }
        let pattern = Pattern::new(pattern).map_err(|error| format!("another pattern: {error}"))?;
        Ok(Self {
            pattern,
            value: value.to_owned(),
        })
    }

    /// Whether it is for the file at `path`, that of the URL. A pattern without a slash is for the last segment.
    pub fn matches(&self, path: &str) -> bool {
        match self.pattern.as_str().contains('/') {
            true => self.pattern.matches(path),
            false => self
                .pattern
                .matches(path.rsplit('/').next().unwrap_or(path)),
        }
    }
}

impl fmt::Display for CacheRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.pattern, self.value)
    }
}

/// The name of the index file; nothing means that there is none.
pub(super) fn index(text: &str) -> Parsed<Option<String>> {
    match text {
        "" => Ok(None),
        _ if text.starts_with('.') || text.contains(['/', '\0']) => {
            Err("the name of a file such as index.html, or nothing".to_owned())
        }
        _ => Ok(Some(text.to_owned())),
    }
}

/// The mappings in `text`: a comma ends one if another one follows.
fn items(text: &str) -> Vec<&str> {
    let is_mapping = |text: &str| text.starts_with('/') && text.contains('=');
    let (mut items, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(',') {
        if is_mapping(&text[at + 1..]) {
            items.push(&text[start..at]);
            start = at + 1;
        }
    }
    items.push(&text[start..]);
    items
}

/// `text` without its percent-encoding; `None` if that is wrong, or if it hides bytes that are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let is_hex = digits.bytes().all(|it| it.is_ascii_hexdigit());
        decoded.push(u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
        decoded.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(text: &str) -> Vec<String> {
        let mut settings = StaticSettings::default();
        settings.add_maps(text).expect(text);
        settings.maps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_mapping_is_a_path_and_a_place() {
        assert_eq!(maps("/static=/srv/a"), ["/static=/srv/a"]);
        assert_eq!(maps("/static/=a=b"), ["/static=a=b"]);
        assert_eq!(maps("/=/srv/a,/b=/srv,c"), ["/=/srv/a", "/b=/srv,c"]);
        assert_eq!(maps("/my%20files=x"), ["/my files=x"]);
        assert_eq!(maps("/100%25=x"), ["/100%25=x"]);
        for text in [
            "",
            "/a",
            "a=b",
            "/a=",
            "/a/../b=c",
            "//a=b",
            "/a%2=b",
            "/a?b=c",
            "/%ff=c",
        ] {
            assert!(StaticSettings::default().add_maps(text).is_err(), "{text}");
        }
        let twice = StaticSettings::default()
            .add_maps("/a=x,/a/=y")
            .expect_err("twice");
        assert!(twice.contains("/a is there twice"), "{twice}");
    }

    #[test]
    fn a_pattern_with_a_slash_is_for_the_whole_path() {
        let rule = |text| CacheRule::parse(text).expect(text);
        let css = rule("*.css=public, max-age=3600");
        assert_eq!(css.value, "public, max-age=3600");
        assert!(css.matches("/static/a/b.css") && !css.matches("/static/b.css/c"));
        let assets = rule("/static/assets/*=immutable");
        assert!(assets.matches("/static/assets/a/b.js") && !assets.matches("/static/b.js"));
        assert!(rule("*.[0-9a-f][0-9a-f].js=a").matches("/x.0f.js"));
        for text in ["", "a", "=b", "a=", "[=b", "a=b\nc"] {
            assert!(CacheRule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_index_is_a_plain_name() {
        assert_eq!(index(""), Ok(None));
        assert_eq!(index("default.htm"), Ok(Some("default.htm".to_owned())));
        for text in ["a/b", ".", "..", ".index", "a\0"] {
            assert!(index(text).is_err(), "{text}");
        }
    }
}
