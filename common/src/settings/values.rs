//! The typed values of all settings: a plain struct that the rows fill.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Uid};

use super::application_values::ApplicationValues;
use super::groups::{
    AdminSettings, ControlSettings, HookNames, Leniency, LogConfig, ProxySettings, PythonSettings,
    ReloadSettings, StatsdSettings, SyslogSettings, TlsSettings, Unused,
};
use super::rate_limits::RateLimitSettings;
use super::recycling::RecyclingSettings;
use super::scaling::ScalingSettings;
use super::shedding::SheddingSettings;
use super::static_files::StaticSettings;
use crate::address::Address;
use crate::logging::Level;

/// All settings of one generation. A zero duration or count means "off" if the row says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The positional argument: `native:NAME` or `module:callable`.
    pub application: Option<String>,
    /// A file, `file:PATH` or `python:MODULE`.
    pub config: Option<String>,
    pub python: PythonSettings,

    // Server socket
    pub bind: Vec<Address>,
    pub backlog: u32,
    /// The path that the server itself answers health checks on; `None` is off.
    pub health_path: Option<String>,
    pub reuse_port: bool,

    // Worker processes
    pub workers: usize,
    pub scaling: ScalingSettings,
    pub threads: usize,
    /// By gunicorn's names; there is only one kind, with threads.
    pub worker_class: String,
    pub worker_connections: usize,
    pub max_requests: u64,
    pub max_requests_jitter: u64,
    pub timeout: Duration,
    pub graceful_timeout: Duration,
    pub drain_delay: Duration,
    pub keepalive: Duration,
    /// Time limits that gunicorn does not have: for a whole head, and for progress on body and response. The rates
    /// are in octets per second; 0 is none.
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub body_min_rate: u32,
    pub write_timeout: Duration,
    pub write_min_rate: u32,
    pub runners: usize,
    pub recycling: RecyclingSettings,
    pub shedding: SheddingSettings,

    // Security
    pub limit_request_line: usize,
    pub limit_request_fields: usize,
    pub limit_request_field_size: usize,
    /// The whole head.
    pub limit_request_head: usize,
    pub limit_request_body: u64,
    pub leniency: Leniency,

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
    /// The memory for one request body, and for all bodies of a worker together, in bytes.
    pub body_buffer_size: usize,
    pub body_buffer_total: usize,
    pub preload_app: bool,
    pub sendfile: bool,
    /// The `Server` field of responses; empty means that there is none.
    pub server_header: String,
    pub proc_name: Option<String>,
    pub check_config: bool,
    pub print_config: bool,
    pub reload: ReloadSettings,

    // Logging: None is off, "-" is stdout (access) or stderr (error)
    pub accesslog: Option<String>,
    pub access_log_format: String,
    pub access_log_json: bool,
    pub errorlog: String,
    pub error_log_json: bool,
    pub loglevel: Level,
    /// From when on a request is slow.
    pub slow_request: Duration,
    /// The field that has the id of a request; without it requests have none.
    pub request_id: Option<String>,
    pub capture_output: bool,
    pub enable_stdio_inheritance: bool,
    pub logconfig: LogConfig,
    pub syslog: SyslogSettings,
    pub statsd: StatsdSettings,

    pub proxy: ProxySettings,
    pub static_files: StaticSettings,
    pub tls: TlsSettings,
    pub admin: AdminSettings,
    pub control: ControlSettings,
    pub rate_limits: RateLimitSettings,
    pub hooks: HookNames,
    pub unused: Unused,

    /// The values of the application's own settings.
    pub application_values: ApplicationValues,
}

impl Settings {
    /// Gunicorn's name for the kind of worker: `sync` with more than one thread is `gthread`.
    pub fn worker_class(&self) -> &'static str {
        match self.most_threads() {
            1 => "sync",
            _ => "gthread",
        }
    }

    /// Every field empty or zero, for the rows to fill.
    pub(super) fn blank() -> Self {
        Self {
            application: None,
            config: None,
            python: PythonSettings::default(),
            bind: Vec::new(),
            backlog: 0,
            health_path: None,
            reuse_port: false,
            workers: 0,
            scaling: ScalingSettings::default(),
            threads: 0,
            worker_class: String::new(),
            worker_connections: 0,
            max_requests: 0,
            max_requests_jitter: 0,
            timeout: Duration::ZERO,
            graceful_timeout: Duration::ZERO,
            drain_delay: Duration::ZERO,
            keepalive: Duration::ZERO,
            header_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            body_min_rate: 0,
            write_timeout: Duration::ZERO,
            write_min_rate: 0,
            runners: 0,
            recycling: RecyclingSettings::default(),
            shedding: SheddingSettings::default(),
            limit_request_line: 0,
            limit_request_fields: 0,
            limit_request_field_size: 0,
            limit_request_head: 0,
            limit_request_body: 0,
            leniency: Leniency::default(),
            chdir: None,
            daemon: false,
            raw_env: Vec::new(),
            env_file: None,
            pidfile: None,
            user: None,
            group: None,
            initgroups: false,
            umask: 0,
            tmp_upload_dir: None,
            body_buffer_size: 0,
            body_buffer_total: 0,
            preload_app: false,
            sendfile: false,
            server_header: String::new(),
            proc_name: None,
            check_config: false,
            print_config: false,
            reload: ReloadSettings::default(),
            accesslog: None,
            access_log_format: String::new(),
            access_log_json: false,
            errorlog: String::new(),
            error_log_json: false,
            loglevel: Level::Info,
            slow_request: Duration::ZERO,
            request_id: None,
            capture_output: false,
            enable_stdio_inheritance: false,
            logconfig: LogConfig::default(),
            syslog: SyslogSettings::default(),
            statsd: StatsdSettings::default(),
            proxy: ProxySettings::default(),
            static_files: StaticSettings::default(),
            tls: TlsSettings::default(),
            admin: AdminSettings::default(),
            control: ControlSettings::default(),
            rate_limits: RateLimitSettings::default(),
            hooks: HookNames::default(),
            unused: Unused::default(),
            application_values: ApplicationValues::default(),
        }
    }
}
