//! The options of logging, from the settings.

use super::values::Settings;
use crate::logging::{
    AccessFormat, AccessFormatError, FileOwner, LoggingOptions, StatsdOptions, SyslogOptions,
};

impl Settings {
    /// The options for [`crate::logging::init`].
    pub fn logging_options(&self) -> LoggingOptions {
        LoggingOptions {
            error_log: self.errorlog.clone(),
            access_log: self.accesslog.clone(),
            error_json: self.error_log_json,
            level: self.loglevel,
            capture_output: self.capture_output,
            owner: FileOwner {
                user: self.user,
                group: self.group,
            },
            syslog: self.syslog_options(),
            statsd: self.statsd_options(),
        }
    }

    /// The format of the access log's lines.
    pub fn access_format(&self) -> Result<AccessFormat, AccessFormatError> {
        let text = &self.access_log_format;
        match self.access_log_json {
            // Loading has refused a format that is no JSON.
            true => AccessFormat::json(text)?.map_or_else(|| AccessFormat::parse(text), Ok),
            false => AccessFormat::parse(text),
        }
    }

    fn syslog_options(&self) -> Option<SyslogOptions> {
        let syslog = &self.syslog;
        // A colon would end the tag.
        let name = || {
            let name = self.proc_name.as_ref().or(self.application.as_ref());
            name.map_or_else(|| "oxicorn".to_owned(), |name| name.replace(':', "."))
        };
        syslog.enabled.then(|| SyslogOptions {
            address: syslog.address.clone(),
            facility: syslog.facility,
            name: syslog.prefix.clone().unwrap_or_else(name),
            access: !syslog.errors_only,
        })
    }

    fn statsd_options(&self) -> Option<StatsdOptions> {
        let statsd = &self.statsd;
        Some(StatsdOptions {
            address: statsd.address.clone()?,
            prefix: statsd.prefix.clone(),
            tags: statsd.tags.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_of_syslog_is_named_after_the_application() {
        let mut settings = Settings::default();
        assert_eq!(settings.logging_options().syslog, None);
        settings.syslog.enabled = true;
        settings.application = Some("wsgi:app".to_owned());
        let name = |settings: &Settings| settings.syslog_options().expect("it is on").name;
        assert_eq!(name(&settings), "wsgi.app");
        settings.proc_name = Some("shop".to_owned());
        assert_eq!(name(&settings), "shop");
        settings.syslog.prefix = Some("a:b".to_owned());
        assert_eq!(name(&settings), "a:b");
    }
}
