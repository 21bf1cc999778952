//! [`SpareListeners`]: what a worker would need as a mold.

use std::sync::{Arc, Mutex};

use oxicorn_common::Listener;

/// Listeners for the workers that are forked from this one later.
pub type SpareListeners = Arc<Mutex<Vec<Listener>>>;
