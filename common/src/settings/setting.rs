//! One row of the table: the names, the help and the parser of a setting.

use super::values::Settings;

/// One setting: its names, its meaning and its way into [`Settings`].
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in config files; gunicorn's if it has the setting.
    pub name: &'static str,
    pub section: Section,
    /// Every spelling on the command line; the first long one is shown first.
    pub flags: &'static [&'static str],
    pub kind: Kind,
    /// The default as text, in the form that `apply` reads. Empty is "not set".
    pub default: &'static str,
    /// The environment variable without a prefix that also sets it.
    pub bare: Option<&'static str>,
    pub standing: Standing,
    /// What it does, with units, in plain sentences.
    pub help: &'static str,
    /// Reads a text into its field; the error states a correct form. An empty text resets the field if it may be
    /// unset; each call adds one item to a list.
    pub apply: fn(&mut Settings, &str) -> Result<(), String>,
    /// The field as text, in the form that `apply` reads; secrets are masked.
    pub show: fn(&Settings) -> String,
}

/// The kind of a setting; the text stands for the value in help and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off; the flag alone turns it on.
    Switch,
    /// On or off; the flag alone turns it off.
    Off,
    /// One value; the last one given counts.
    Value(&'static str),
    /// Any number of values.
    List(&'static str),
    /// One value that is never shown, and has no flag: everybody may read command lines.
    Secret(&'static str),
    /// One value without a flag.
    Positional(&'static str),
    /// One value, or the flag alone, which means the second text.
    Optional(&'static str, &'static str),
    /// A function with this number of arguments, which only a Python config file can set.
    Hook(usize),
}

/// The effect of setting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Works,
    /// Every value is accepted and has no effect; the text says why.
    NoEffect(&'static str),
    /// A setting of gunicorn; all values except the default are rejected.
    Refused,
}

/// The groups of help and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Sources,
    ServerSocket,
    WorkerProcesses,
    Security,
    Debugging,
    ServerMechanics,
    Logging,
    ProcessNaming,
    Proxy,
    StaticFiles,
    Tls,
    Admin,
    Control,
    Hooks,
    Unserved,
    /// The settings of an application, under a title of its own.
    Application(&'static str),
}

impl Setting {
    /// The flag that messages name: the first long spelling.
    pub fn long_flag(&self) -> Option<&'static str> {
        self.flags
            .iter()
            .find_map(|flag| flag.starts_with("--").then_some(*flag))
    }

    pub fn is_hook(&self) -> bool {
        matches!(self.kind, Kind::Hook(_))
    }

    /// The variables that set it and nothing else, in the order in which they count.
    pub fn prefixed(&self) -> impl Iterator<Item = String> {
        let name = self.name.to_ascii_uppercase();
        let prefixes: &[&str] = match self.kind {
            Kind::Hook(_) => &[],
            _ => &["OXICORN", "GUNICORN"],
        };
        prefixes
            .iter()
            .map(move |prefix| format!("{prefix}_{name}"))
    }

    /// All variables that set it, in the order in which they count for a native application.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        self.prefixed().chain(self.bare.map(str::to_owned))
    }

    /// The variable that replaces the default, as it does gunicorn's.
    pub fn fallback(&self) -> Option<&'static str> {
        match self.name {
            "bind" => Some("PORT"),
            "forwarded_allow_ips" => Some("FORWARDED_ALLOW_IPS"),
            "sendfile" => Some("SENDFILE"),
            "workers" => Some("WEB_CONCURRENCY"),
            _ => None,
        }
    }

    /// Its value as text, in the form that `apply` reads; secrets are masked.
    pub fn shown(&self, settings: &Settings) -> String {
        match self.kind {
            Kind::Hook(_) => settings.hooks.show(self.name),
            _ => (self.show)(settings),
        }
    }

    /// Whether its value is a number.
    pub fn is_number(&self) -> bool {
        let words = [
            "BYTES",
            "CONNECTIONS",
            "COUNT",
            "NUMBER",
            "PERCENT",
            "PORT",
            "SECONDS",
        ];
        matches!(self.kind, Kind::Value(word) if words.contains(&word))
    }

    /// The word that stands for the value, if there is one.
    pub fn placeholder(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Switch | Kind::Off | Kind::Hook(_) => None,
            Kind::Value(word)
            | Kind::Secret(word)
            | Kind::List(word)
            | Kind::Positional(word)
            | Kind::Optional(word, _) => Some(word),
        }
    }
}

impl Section {
    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sources => "Application and sources",
            Self::ServerSocket => "Server socket",
            Self::WorkerProcesses => "Worker processes",
            Self::Security => "Security",
            Self::Debugging => "Debugging",
            Self::ServerMechanics => "Server mechanics",
            Self::Logging => "Logging",
            Self::ProcessNaming => "Process naming",
            Self::Proxy => "Behind a reverse proxy",
            Self::StaticFiles => "Static files",
            Self::Tls => "TLS",
            Self::Admin => "Admin process",
            Self::Control => "Control socket",
            Self::Hooks => "Server hooks",
            Self::Unserved => "Refused",
            Self::Application(title) => title,
        }
    }
}
