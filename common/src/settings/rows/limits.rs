//! Limits for the sizes of requests.

use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

/// The greatest limits that gunicorn knows; it takes more for these.
const MOST_LINE: usize = 8190;
const MOST_FIELDS: usize = 32_768;

pub(in crate::settings) const ROWS: [Setting; 5] = [
    Setting {
        name: "limit_request_line",
        section: Section::Security,
        flags: &["--limit-request-line"],
        kind: Kind::Value("BYTES"),
        default: "8190",
        bare: None,
        standing: Standing::Works,
        help: "The greatest length of a request line, in bytes. A longer one is answered 414. More \
               than 8190 is taken for 8190; 0 is no limit but that of the head.",
        apply: |settings, text| {
            parse::limit(text, MOST_LINE).map(|value| settings.limit_request_line = value)
        },
        show: |settings| settings.limit_request_line.to_string(),
    },
    Setting {
        name: "limit_request_fields",
        section: Section::Security,
        flags: &["--limit-request-fields"],
        kind: Kind::Value("COUNT"),
        default: "100",
        bare: None,
        standing: Standing::Works,
        help: "The greatest number of header fields in a request. More are answered 431. More than \
               32768 is taken for 32768.",
        apply: |settings, text| {
            parse::limit(text, MOST_FIELDS).map(|value| settings.limit_request_fields = value)
        },
        show: |settings| settings.limit_request_fields.to_string(),
    },
    Setting {
        name: "limit_request_field_size",
        section: Section::Security,
        flags: &["--limit-request-field_size", "--limit-request-field-size"],
        kind: Kind::Value("BYTES"),
        default: "8190",
        bare: None,
        standing: Standing::Works,
        help: "The greatest length of one header field, in bytes. A longer one is answered 431. 0 is \
               no limit but that of the head.",
        apply: |settings, text| {
            parse::number(text, 0..=usize::MAX)
                .map(|value| settings.limit_request_field_size = value)
        },
        show: |settings| settings.limit_request_field_size.to_string(),
    },
    Setting {
        name: "limit_request_head",
        section: Section::Security,
        flags: &["--limit-request-head"],
        kind: Kind::Value("BYTES"),
        default: "65536",
        bare: None,
        standing: Standing::Works,
        help: "The greatest length of a request line and all header fields together, in bytes. A \
               longer head is answered 431, a longer request line 414. Unless it is set it grows with limit_request_line and \
               limit_request_field_size, to hold a line and two fields of their length. 0 is no \
               limit.",
        apply: |settings, text| {
            parse::number(text, 0..=usize::MAX).map(|value| settings.limit_request_head = value)
        },
        show: |settings| settings.limit_request_head.to_string(),
    },
    Setting {
        name: "limit_request_body",
        section: Section::Security,
        flags: &["--limit-request-body"],
        kind: Kind::Value("BYTES"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "The greatest length of a request body, in bytes. A longer one is answered 413. 0 is no \
               limit: long bodies go to a temporary file, not to memory.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX).map(|value| settings.limit_request_body = value)
        },
        show: |settings| settings.limit_request_body.to_string(),
    },
];
