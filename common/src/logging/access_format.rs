//! The format of an access line. (Rendering follows.)

/// A parsed format.
#[derive(Debug, Clone)]
pub struct AccessFormat;

/// The text is no format.
#[derive(Debug, thiserror::Error)]
#[error("a format")]
pub struct AccessFormatError;

impl AccessFormat {
    pub fn parse(_text: &str) -> Result<Self, AccessFormatError> {
        Ok(Self)
    }
}
