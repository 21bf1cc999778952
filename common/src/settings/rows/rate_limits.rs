//! How many requests a client may send.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 1] = [Setting {
    name: "rate_limits",
    section: Section::Security,
    flags: &["--rate-limits"],
    kind: Kind::Value("FILE"),
    default: "",
    bare: None,
    standing: Standing::Works,
    help: "A file of rules, one per line, such as `api 10/s burst=20 path=/api`: how many \
               requests a client, the owner of a key or everybody together may send. What is too \
               much gets 429. All workers count together. SIGHUP reads the file again. Not set is \
               off. See docs/rate-limiting.md.",
    apply: |settings, text| {
        settings.rate_limits.file = parse::path(text);
        Ok(())
    },
    show: |settings| show::path(&settings.rate_limits.file),
}];
