//! The table of all rows of the server, and their defaults.

use super::rows::{
    admin, balancer, control, debugging, hooks, limits, logging, mechanics, parsing, process,
    proxy, python, rate_limits, recycling, reload, scaling, shedding, socket, sources,
    static_files, telemetry, tls, unserved, workers,
};
use super::setting::Setting;
use super::values::Settings;

const GROUPS: [&[Setting]; 24] = [
    &sources::ROWS,
    &python::ROWS,
    &socket::ROWS,
    &workers::ROWS,
    &recycling::ROWS,
    &scaling::ROWS,
    &shedding::ROWS,
    &process::ROWS,
    &limits::ROWS,
    &rate_limits::ROWS,
    &parsing::ROWS,
    &mechanics::ROWS,
    &logging::ROWS,
    &telemetry::ROWS,
    &debugging::ROWS,
    &reload::ROWS,
    &proxy::ROWS,
    &balancer::ROWS,
    &static_files::ROWS,
    &tls::ROWS,
    &admin::ROWS,
    &control::ROWS,
    &hooks::ROWS,
    &unserved::ROWS,
];

/// Every setting, in the order of documentation.
pub static SETTINGS: &[Setting] = &{
    let mut rows = [sources::ROWS[0]; LENGTH];
    let (mut next, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].len() {
            rows[next] = GROUPS[group][row];
            (next, row) = (next + 1, row + 1);
        }
        group += 1;
    }
    rows
};

const LENGTH: usize = {
    let (mut length, mut group) = (0, 0);
    while group < GROUPS.len() {
        length += GROUPS[group].len();
        group += 1;
    }
    length
};

impl Settings {
    /// The defaults of the server's rows, and of those of an application.
    ///
    /// # Panics
    /// If a row does not read its own default.
    pub fn with_defaults(application: &'static [Setting]) -> Self {
        let mut settings = Self::blank();
        let rows = SETTINGS.iter().chain(application);
        for row in rows.filter(|row| !row.is_hook()) {
            (row.apply)(&mut settings, row.default).expect("every row reads its own default");
        }
        settings
    }
}

impl Default for Settings {
    /// The defaults of the server's rows.
    fn default() -> Self {
        Self::with_defaults(&[])
    }
}
