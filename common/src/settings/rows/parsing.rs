//! Requests that the standard forbids and a setting may permit.

use crate::settings::choice::{Choice, HeaderMap};
use crate::settings::parse;
use crate::settings::setting::{Kind, Section, Setting, Standing};

pub(in crate::settings) const ROWS: [Setting; 6] = [
    Setting {
        name: "permit_obsolete_folding",
        section: Section::Security,
        flags: &["--permit-obsolete-folding"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Accept header fields that are folded over several lines, which RFC 9112 section 5.2 \
               forbids.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.leniency.obsolete_folding = value)
        },
        show: |settings| settings.leniency.obsolete_folding.to_string(),
    },
    Setting {
        name: "strip_header_spaces",
        section: Section::Security,
        flags: &["--strip-header-spaces"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Accept white space between the name of a header field and its colon. Other servers \
               may read such a request differently, which enables request smuggling.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.leniency.header_spaces = value)
        },
        show: |settings| settings.leniency.header_spaces.to_string(),
    },
    Setting {
        name: "permit_unconventional_http_method",
        section: Section::Security,
        flags: &["--permit-unconventional-http-method"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Accept methods with lower case letters, with a #, or with fewer than 3 or more than \
               20 characters.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.leniency.unconventional_method = value)
        },
        show: |settings| settings.leniency.unconventional_method.to_string(),
    },
    Setting {
        name: "permit_unconventional_http_version",
        section: Section::Security,
        flags: &["--permit-unconventional-http-version"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Accept versions of HTTP other than 1.0 and 1.1, as the nearest of the two.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.leniency.unconventional_version = value)
        },
        show: |settings| settings.leniency.unconventional_version.to_string(),
    },
    Setting {
        name: "casefold_http_method",
        section: Section::Security,
        flags: &["--casefold-http-method"],
        kind: Kind::Switch,
        default: "false",
        bare: None,
        standing: Standing::Works,
        help: "Convert methods to upper case before the application sees them. Methods with lower \
               case letters also need permit_unconventional_http_method.",
        apply: |settings, text| {
            parse::switch(text).map(|value| settings.leniency.casefold_method = value)
        },
        show: |settings| settings.leniency.casefold_method.to_string(),
    },
    Setting {
        name: "header_map",
        section: Section::Security,
        flags: &["--header-map"],
        kind: Kind::Value("MODE"),
        default: "drop",
        bare: None,
        standing: Standing::Works,
        help: "What happens to header fields with an underscore in their name, which environ cannot \
               distinguish from a hyphen: drop them, refuse the request, or pass them on, which is \
               dangerous.",
        apply: |settings, text| {
            HeaderMap::parse(text).map(|value| settings.leniency.header_map = value)
        },
        show: |settings| settings.leniency.header_map.word().to_owned(),
    },
];
