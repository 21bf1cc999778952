//! How a load balancer learns whether to send clients.

use crate::settings::setting::{Kind, Section, Setting, Standing};
use crate::settings::{parse, show};

pub(in crate::settings) const ROWS: [Setting; 2] = [
    Setting {
        name: "health_path",
        section: Section::Proxy,
        flags: &["--health-path"],
        kind: Kind::Value("PATH"),
        default: "",
        bare: None,
        standing: Standing::Works,
        help: "The path that the server itself answers health checks on, such as /health: 200, or \
               503 while drain_delay runs and while the server stops. The event loop answers GET \
               and HEAD, even while all threads are busy; other methods get 405. The application \
               never sees the path, and neither logs nor statsd do. Not set is off.",
        apply: |settings, text| parse::health_path(text).map(|value| settings.health_path = value),
        show: |settings| show::optional(settings.health_path.as_ref()),
    },
    Setting {
        name: "drain_delay",
        section: Section::Proxy,
        flags: &["--drain-delay"],
        kind: Kind::Value("SECONDS"),
        default: "0",
        bare: None,
        standing: Standing::Works,
        help: "How long SIGTERM only makes health checks fail (health_path, and /ready of \
               admin_bind) before the server drains, in seconds. Until then everything is served, \
               new connections too, so that a load balancer has time to stop sending clients. It \
               should be longer than the balancer takes to notice. A second SIGTERM ends the wait; \
               SIGINT and SIGQUIT do not wait. graceful_timeout begins afterwards.",
        apply: |settings, text| parse::seconds(text).map(|value| settings.drain_delay = value),
        show: |settings| show::seconds(settings.drain_delay),
    },
];
