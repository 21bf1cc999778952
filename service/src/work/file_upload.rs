//! `file_upload`: size and SHA-256 of `content`, which is base64 unless `encoding` is `text`; with `sha256`, whether
//! the hash is the expected one.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::WorkError;
use super::parameters::{Parameters, wrong};

pub(super) fn perform(parameters: Parameters<'_>) -> Result<Value, WorkError> {
    let encoding = parameters.text("encoding")?;
    let content = match encoding.as_deref().unwrap_or("base64") {
        "base64" => parameters.bytes("content")?,
        "text" => parameters.required_text("content")?.into_bytes(),
        _ => return Err(wrong("encoding", "must be base64 or text")),
    };
    let sha256 = hex_digest(&content);
    let mut result = json!({
        "filename": parameters.text("filename")?,
        "size": content.len(),
        "sha256": sha256,
    });
    if let Some(expected) = parameters.text("sha256")? {
        result["matches"] = expected.eq_ignore_ascii_case(&sha256).into();
    }
    Ok(result)
}

/// SHA-256 in hexadecimal.
pub(super) fn hex_digest(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::perform;
    use super::*;
    use crate::model::TaskType;

    /// FIPS 180-2, appendix B.1.
    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn contents_have_a_checksum() {
        let upload = |parameters| perform(TaskType::FileUpload, parameters);
        let abc = upload(json!({"content": "YWJj", "filename": "a.txt", "sha256": OF_ABC}));
        let expected = json!({"filename": "a.txt", "size": 3, "sha256": OF_ABC, "matches": true});
        assert_eq!(abc, Ok(expected));
        let text = upload(json!({"content": "abc", "encoding": "text", "sha256": "00"}));
        assert_eq!(
            text.map(|it| (it["sha256"] == OF_ABC, it["matches"].clone())),
            Ok((true, json!(false)))
        );
        for bad in [
            json!({}),
            json!({"content": "%"}),
            json!({"content": "", "encoding": "x"}),
        ] {
            assert!(upload(bad.clone()).is_err(), "{bad}");
        }
    }
}
