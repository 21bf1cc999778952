//! The applications that come with the server, named `native:NAME` on the command line.

mod hello;

use std::sync::Arc;

use oxicorn_common::Application;
use oxicorn_common::settings::ApplicationSettings;
#[cfg(feature = "service")]
use oxicorn_service::EventStreamMonitor;

use hello::Hello;

/// Every application of this build, in the order in which messages list them.
fn all() -> Vec<Arc<dyn Application>> {
    vec![
        #[cfg(feature = "service")]
        Arc::new(EventStreamMonitor),
        Arc::new(Hello),
    ]
}

/// The application that `name`, such as `native:hello`, names.
pub(crate) fn find(name: &str) -> Option<Arc<dyn Application>> {
    all()
        .into_iter()
        .find(|application| application.name() == name)
}

/// The settings that these applications bring.
pub fn native_settings() -> ApplicationSettings {
    let all = all().into_iter();
    ApplicationSettings::by_name(all.map(|it| (it.name().to_owned(), it.settings())))
}

/// The names of all native applications, for messages.
pub(crate) fn names() -> String {
    let all = all();
    let names: Vec<_> = all.iter().map(|application| application.name()).collect();
    names.join(", ")
}
