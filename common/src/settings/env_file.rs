//! The file of `--env-file`: NAME=VALUE lines, as a shell would read them.
//!
//! ```text
//!   # comment             ; comment
//!   NAME=plain text       # ends at a comment, white space around it is dropped
//!   export NAME='as it stands'
//!   NAME="with \" \\ \$ and \n"
//! ```

use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use crate::bounded_file::read_bounded;

use super::error::SettingsError;
use super::origin::Origin;

#[derive(Debug)]
pub(super) struct EnvFile {
    path: PathBuf,
    lines: Vec<Line>,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    number: usize,
    name: String,
    value: String,
}

impl EnvFile {
    /// Reads the file that a setting from `origin` names.
    pub(super) fn read(path: &Path, origin: Origin) -> Result<Self, SettingsError> {
        let text = read_bounded(path)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| not_text()))
            .map_err(|source| SettingsError::File {
                origin,
                path: path.to_owned(),
                source,
            })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            match assignment(line) {
                Ok(None) => {}
                Ok(Some((name, value))) => lines.push(Line {
                    number,
                    name,
                    value,
                }),
                Err(problem) => {
                    return Err(SettingsError::EnvFileLine {
                        path: path.to_owned(),
                        line: number,
                        problem,
                    });
                }
            }
        }
        Ok(Self {
            path: path.to_owned(),
            lines,
        })
    }

    /// The value of `variable`, the last one if there are several, unless it is empty.
    pub(super) fn value(&self, variable: &str) -> Option<(&str, Origin)> {
        let line = self.lines.iter().rfind(|line| line.name == variable)?;
        let origin = Origin::EnvFile {
            path: self.path.clone(),
            line: line.number,
            variable: variable.to_owned(),
        };
        Some((line.value.as_str(), origin)).filter(|(value, _)| !value.is_empty())
    }

    /// Every variable, with its line.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, String)> {
        self.lines.iter().map(|line| {
            let place = format!("{}:{}: ", self.path.display(), line.number);
            (line.name.as_str(), place)
        })
    }
}

fn not_text() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8")
}

fn assignment(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim().trim_start_matches('\u{feff}');
    if line.is_empty() || line.starts_with(['#', ';']) {
        return Ok(None);
    }
    let line = match line.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => line,
    };
    let (name, text) = line.split_once('=').ok_or("expected NAME=VALUE")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(plain) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err("a name is letters, digits and _, without white space before the =");
    }
    Ok(Some((name.to_owned(), value(text.trim())?)))
}

fn value(text: &str) -> Result<String, &'static str> {
    let mut characters = text.chars().peekable();
    let mut value = String::new();
    match characters.peek() {
        Some('\'') => {
            characters.next();
            single_quoted(&mut characters, &mut value)?;
        }
        Some('"') => {
            characters.next();
            double_quoted(&mut characters, &mut value)?;
        }
        _ => {
            let end = text.find(" #").or(text.find("\t#")).unwrap_or(text.len());
            let start_is_comment = text.starts_with('#');
            let plain = if start_is_comment { "" } else { &text[..end] };
            return Ok(plain.trim_end().to_owned());
        }
    }
    let rest: String = characters.collect();
    match rest.trim_start() {
        "" => Ok(value),
        comment if comment.starts_with('#') => Ok(value),
        _ => Err("unexpected text after the closing quotation mark"),
    }
}

fn single_quoted(from: &mut Peekable<Chars<'_>>, into: &mut String) -> Result<(), &'static str> {
    loop {
        match from.next() {
            Some('\'') => return Ok(()),
            Some(character) => into.push(character),
            None => return Err("a quotation mark is not closed"),
        }
    }
}

fn double_quoted(from: &mut Peekable<Chars<'_>>, into: &mut String) -> Result<(), &'static str> {
    loop {
        match from.next() {
            Some('"') => return Ok(()),
            Some('\\') => match from.next() {
                Some('n') => into.push('\n'),
                Some(escaped @ ('"' | '\\' | '$' | '`')) => into.push(escaped),
                Some(other) => into.extend(['\\', other]),
                None => return Err("a quotation mark is not closed"),
            },
            Some(character) => into.push(character),
            None => return Err("a quotation mark is not closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EnvFile, String> {
        EnvFile::parse(Path::new("/e"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_read_as_a_shell_reads_them() {
        let text = "\u{feff}# comment\r\n; comment\n\n  A=plain text  # comment\r\n\
                    export B='as it $tands # \"\\n'\nC=\"a \\\"b\\\" \\\\ \\n\\$ \\d\"  # end\n\
                    D=a#b\nE= # nothing\nA2=1\nA2=2\n\texport\tF=x=y\nexported=1\n";
        let file = parse(text).expect("a file");
        for (name, value) in [
            ("A", "plain text"),
            ("B", "as it $tands # \"\\n"),
            ("C", "a \"b\" \\ \n$ \\d"),
            ("D", "a#b"),
            ("A2", "2"),
            ("F", "x=y"),
            ("exported", "1"),
        ] {
            assert_eq!(
                file.value(name).map(|(value, _)| value),
                Some(value),
                "{name}"
            );
        }
        assert!(file.value("E").is_none() && file.value("G").is_none());
        let (_, origin) = file.value("A2").expect("a value");
        assert_eq!(origin.to_string(), "/e:10: variable A2");
    }

    #[test]
    fn what_is_no_line_is_named_by_its_number() {
        for (text, problem) in [
            ("A", "/e:1: expected NAME=VALUE"),
            ("\nA='x", "/e:2: a quotation mark is not closed"),
            ("A=\"x\\", "/e:1: a quotation mark is not closed"),
            (
                "A='x'y",
                "/e:1: unexpected text after the closing quotation mark",
            ),
        ] {
            assert_eq!(parse(text).expect_err(text), problem);
        }
        for name in ["", "1A", "A ", "A-B", "export "] {
            let error = parse(&format!("{name}=1")).expect_err(name);
            assert!(error.starts_with("/e:1: a name is letters"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_with_its_flag() {
        let error = EnvFile::read(Path::new("/nowhere/e"), Origin::Default).expect_err("no file");
        assert_eq!(error.to_string(), "default: cannot read /nowhere/e");
    }
}
