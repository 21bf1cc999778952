//! How many requests a client may send.

use std::time::Duration;

use crate::settings::redis_url::RedisUrl;
use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 3] = [
    Setting {
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
    },
    Setting {
        name: "rate_limit_redis",
        section: Section::Security,
        flags: &["--rate-limit-redis"],
        kind: Kind::Value("URL"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The Redis in which the servers of all hosts count together for rate_limits: \
               redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or unix:///PATH. While it \
               does not answer, each server counts alone. Not set is off.",
        apply: |settings, text| {
            settings.rate_limits.redis = match text {
                "" => None,
                text => Some(RedisUrl::parse(text)?),
            };
            Ok(())
        },
        show: |settings| show::optional(settings.rate_limits.redis.as_ref()),
    },
    Setting {
        name: "rate_limit_redis_timeout",
        section: Section::Security,
        flags: &["--rate-limit-redis-timeout"],
        kind: Kind::Value("SECONDS"),
        default: "0.1",
        bare: None,
        standing: Standing::Works,
        help: "How long a request waits for rate_limit_redis, in seconds, at least 0.001. After three \
               answers in a row that take longer, Redis counts as away.",
        apply: |settings, text| {
            let least = Duration::from_millis(1);
            let value = parse::seconds(text)?;
            settings.rate_limits.redis_timeout = value.max(least);
            Ok(())
        },
        show: |settings| show::seconds(settings.rate_limits.redis_timeout),
    },
];
