//! Files that the server serves itself.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{show, static_files};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
        name: "static_map",
        section: Section::StaticFiles,
        flags: &["--static-map"],
        kind: Kind::List("/PATH=PLACE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "A directory whose files the server serves itself below a path, such as \
               /static=/srv/shop/static, or one file, such as /favicon.ico=icons/shop.ico. It may be \
               given several times, or several with commas between them; the longest path counts. The event loop answers, even while all \
               threads are busy; the application never sees these paths. docs/static-files.md has the \
               rest.",
        apply: |settings, text| match text {
            "" => {
                settings.static_files.maps.clear();
                Ok(())
            }
            _ => settings.static_files.add_maps(text),
        },
        show: |settings| show::list(&settings.static_files.maps, ToString::to_string),
    },
    Setting {
        name: "static_cache_control",
        section: Section::StaticFiles,
        flags: &["--static-cache-control"],
        kind: Kind::List("PATTERN=VALUE"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The Cache-Control of static files, such as *.css=max-age=3600 or \
               /static/assets/*=public, max-age=31536000, immutable. A pattern has *, ? and []; one \
               with a slash is for the whole path of the URL, others are for its last part. It may \
               be given several times; the first pattern that fits counts. Without one there is no \
               such field.",
        apply: |settings, text| match text {
            "" => {
                settings.static_files.cache_rules.clear();
                Ok(())
            }
            _ => settings.static_files.add_cache_rule(text),
        },
        show: |settings| show::list(&settings.static_files.cache_rules, ToString::to_string),
    },
    Setting {
        name: "static_index",
        section: Section::StaticFiles,
        flags: &["--static-index"],
        kind: Kind::Value("NAME"),
        default: "index.html",
        bare: None,
        standing: Standing::Works,
        help: "The file that answers for its directory in a static_map. Empty is none: directories \
               are not found then. There are no listings.",
        apply: |settings, text| {
            static_files::index(text).map(|index| settings.static_files.index = index)
        },
        show: |settings| show::optional(settings.static_files.index.as_ref()),
    },
];
