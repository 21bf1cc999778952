//! What one row of the settings table says.

use super::Settings;

/// One setting: its names, its meaning and its way into [`Settings`].
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in config files; gunicorn's where it has the setting.
    pub name: &'static str,
    pub section: Section,
    /// Every spelling on the command line; the first long one is shown first.
    pub flags: &'static [&'static str],
    pub kind: Kind,
    /// The default as text, in the form that `apply` reads. Empty is "not set".
    pub default: &'static str,
    /// The environment variable without a prefix that also sets it.
    pub bare: Option<&'static str>,
    /// What it does, with units, in plain sentences.
    pub help: &'static str,
    /// Reads a text into its field; the error says what would be right. An empty text resets the
    /// field where it may be unset; a list takes one more item with each call.
    pub apply: fn(&mut Settings, &str) -> Result<(), String>,
    /// The field as text, in the form that `apply` reads; secrets are masked.
    pub show: fn(&Settings) -> String,
}

/// What a setting takes; the text stands for the value in help and documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off; on the command line its mere presence turns it on.
    Switch,
    /// One value; the last one given counts.
    Value(&'static str),
    /// Any number of values.
    List(&'static str),
    /// One value without a flag.
    Positional(&'static str),
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
    Service,
}

impl Setting {
    /// The flag that messages name: the first long spelling.
    pub fn long_flag(&self) -> Option<&'static str> {
        self.flags
            .iter()
            .find_map(|flag| flag.starts_with("--").then_some(*flag))
    }

    /// The variables that set it, in the order in which they count.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let name = self.name.to_ascii_uppercase();
        [format!("OXICORN_{name}"), format!("GUNICORN_{name}")]
            .into_iter()
            .chain(self.bare.map(str::to_owned))
    }

    /// The word that stands for the value, where there is one.
    pub fn placeholder(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Switch => None,
            Kind::Value(word) | Kind::List(word) | Kind::Positional(word) => Some(word),
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
            Self::Service => "Built-in service",
        }
    }
}
