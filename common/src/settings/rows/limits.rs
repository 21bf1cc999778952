//! Limits for the sizes of requests.

use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

/// The upper bounds of gunicorn's limits; it lowers larger values to these.
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
        help: "The maximum length of a request line, in bytes. A longer one gets 414. Values over \
               8190 count as 8190; 0 means no limit but that of the head.",
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
        help: "The maximum number of header fields in a request. More get 431. Values over 32768 \
               count as 32768.",
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
        help: "The maximum length of one header field, in bytes. A longer one gets 431. 0 means no \
               limit but that of the head.",
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
        help: "The maximum length of a request line and all header fields together, in bytes. A \
               longer head gets 431, a longer request line 414. The default grows with \
               limit_request_line and limit_request_field_size, so that a line and two fields of \
               their maximum lengths fit. 0 means no limit.",
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
        help: "The maximum length of a request body, in bytes. A longer one gets 413. 0 means no \
               limit: long bodies go to a temporary file, not to memory.",
        apply: |settings, text| {
            parse::number(text, 0..=u64::MAX).map(|value| settings.limit_request_body = value)
        },
        show: |settings| settings.limit_request_body.to_string(),
    },
];
