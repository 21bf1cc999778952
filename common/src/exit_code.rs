//! Exit codes of the master and of its children. They are gunicorn's: init systems and scripts act on them.

/// Nothing went wrong.
pub const SUCCESS: i32 = 0;
/// A setting is wrong, or an address cannot be bound.
pub const CONFIGURATION_ERROR: i32 = 1;
/// SIGABRT ended the child.
pub const ABORTED: i32 = 1;
/// A child could not boot; gunicorn's `WORKER_BOOT_ERROR`.
pub const BOOT_ERROR: i32 = 3;
/// The application could not be loaded; gunicorn's `APP_LOAD_ERROR`.
pub const LOAD_ERROR: i32 = 4;
