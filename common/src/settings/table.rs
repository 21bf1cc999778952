//! The one table that command line, environment, help and documentation come from.

use super::rows::{debugging, limits, logging, mechanics, service, socket, sources, workers};
use super::setting::Setting;

const GROUPS: [&[Setting]; 8] = [
    &sources::ROWS,
    &socket::ROWS,
    &workers::ROWS,
    &limits::ROWS,
    &mechanics::ROWS,
    &logging::ROWS,
    &debugging::ROWS,
    &service::ROWS,
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
