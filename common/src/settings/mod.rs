//! Settings: names, values and sources. Reading a setting only validates it; binding, chown and fork come later.
//!
//! One table of rows, [`SETTINGS`], has the names, the help and the parser of each setting. Command line,
//! environment, help and documentation come from it. An application may bring rows of its own:
//! [`crate::Application::settings`].
//!
//! ```text
//!   values    the typed values, a plain struct
//!   setting   what a row is
//!   parse     from text to values; `show` does the reverse
//!   rows      the rows, by section; table joins them
//!   layers    the sources and their order; load reads them
//! ```

mod admin;
mod application_settings;
mod application_values;
mod choice;
mod command_line;
mod config_file;
mod config_place;
mod env_file;
mod error;
mod groups;
mod layers;
mod load;
mod logging_options;
mod origin;
pub mod parse;
mod peers;
mod program;
mod rate_limits;
mod recycling;
mod redis_url;
mod rows;
mod scaling;
mod secrets;
mod served;
mod setting;
mod shedding;
pub mod show;
mod source;
mod spelling;
mod static_files;
mod table;
#[cfg(test)]
mod tests;
mod values;

pub use admin::{admin_token, is_local, is_local_host};
pub use application_settings::ApplicationSettings;
pub use application_values::ApplicationValues;
pub use choice::{ClientCertificate, HeaderMap, ProxyProtocol, ReloadEngine};
pub use config_file::{ConfigFile, ConfigReader, ConfigValue, HookFunctions, NoInterpreter};
pub use config_place::{ConfigError, ConfigPlace};
pub use error::SettingsError;
pub use groups::{
    AdminSettings, ControlSettings, HookNames, Leniency, LogConfig, ProxySettings, PythonSettings,
    ReloadSettings, StatsdSettings, SyslogSettings, TlsSettings, Unused,
};
pub use load::Loaded;
pub use origin::Origin;
pub use parse::MOST_WORKERS;
pub use peers::Peers;
pub use rate_limits::RateLimitSettings;
pub use recycling::{MemoryLimit, RecyclingSettings};
pub use redis_url::{RedisPlace, RedisUrl};
pub use scaling::{ScalingSettings, WorkerBounds};
pub use secrets::mask;
pub use served::python_settings;
pub use setting::{Kind, Section, Setting, Standing};
pub use shedding::SheddingSettings;
pub use source::Source;
pub use static_files::{CacheRule, StaticMap, StaticSettings};
pub use table::SETTINGS;
pub use values::Settings;
