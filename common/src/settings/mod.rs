//! Every setting, validated and typed. Reading a setting only validates it; binding, chown and
//! fork come later.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use crate::address::Address;

/// All settings of one generation. A zero duration or count means "off" where the row says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The positional argument: `native:NAME` or `module:callable`.
    pub application: Option<String>,

    // Server socket
    pub bind: Vec<Address>,
    pub backlog: u32,

    // Worker processes
    pub workers: usize,
    pub threads: usize,
    pub worker_connections: usize,
    pub max_requests: u64,
    pub max_requests_jitter: u64,
    pub timeout: Duration,
    pub graceful_timeout: Duration,
    pub keepalive: Duration,
    /// Deadlines that gunicorn does not have: a whole head, and progress on body and response.
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub runners: usize,

    // Security
    pub limit_request_line: usize,
    pub limit_request_fields: usize,
    pub limit_request_field_size: usize,
    pub limit_request_body: u64,

    // Server mechanics
    pub chdir: Option<PathBuf>,
    pub daemon: bool,
    pub raw_env: Vec<(String, String)>,
    pub env_file: Option<PathBuf>,
    pub pidfile: Option<PathBuf>,
    pub user: Option<Uid>,
    pub group: Option<Gid>,
    pub initgroups: bool,
    pub umask: u32,
    pub tmp_upload_dir: Option<PathBuf>,
    pub proc_name: Option<String>,
    pub check_config: bool,
    pub print_config: bool,

    // Logging: None is off, "-" is stdout (access) or stderr (error)
    pub accesslog: Option<String>,
    pub access_log_format: String,
    pub errorlog: String,
    pub loglevel: log::LevelFilter,

    // The built-in service
    pub database_url: String,
    pub pool_size: u32,
    pub max_overflow: u32,
    pub pool_recycle: Duration,
    pub pool_timeout: Duration,
    pub cache_entries: usize,
    pub task_cache_ttl: Duration,
    pub user_cache_ttl: Duration,
    pub session_cache_ttl: Duration,
    pub session_ttl: Duration,
}
