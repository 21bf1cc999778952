//! The live page: one HTML document that needs nothing else, asks for `status` once per second, and computes rates and
//! percentiles from the differences.
//!
//! ```text
//!   page/top.html  style.css  body.html   figures.js  format.js  view.js  poll.js
//!                                         numbers  -> text    -> page <- reports
//! ```
//!
//! It is the same for everybody and holds no figure, so it is given without a token; it asks for one where `status` does.
//! Only its own script and style run: the policy has their hashes, and nothing is loaded from anywhere.

use http::StatusCode;
use oxicorn_common::Response;

use crate::reply::reply;

pub(crate) const PATH: &str = "/";

const STYLE: &str = include_str!("page/style.css");

const SCRIPT: &str = concat!(
    include_str!("page/figures.js"),
    include_str!("page/format.js"),
    include_str!("page/view.js"),
    include_str!("page/poll.js"),
);

const POLICY: &str = include_str!("page/policy.txt");

pub(crate) fn page() -> Response {
    reply(
        StatusCode::OK,
        "text/html; charset=utf-8",
        document().into_bytes(),
    )
    .field("Content-Security-Policy", POLICY.trim_end())
}

fn document() -> String {
    let (top, body) = (
        include_str!("page/top.html"),
        include_str!("page/body.html"),
    );
    format!("{top}<style>{STYLE}</style>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    fn hash(text: &str) -> String {
        format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
    }

    #[test]
    fn the_policy_has_the_hashes_of_style_and_script() {
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'\n",
            hash(SCRIPT),
            hash(STYLE)
        );
        if std::env::var_os("OXICORN_BLESS").is_some() {
            let place = concat!(env!("CARGO_MANIFEST_DIR"), "/src/page/policy.txt");
            std::fs::write(place, &policy).expect("written");
        } else {
            assert_eq!(
                POLICY, policy,
                "OXICORN_BLESS=1 cargo test -p oxicorn-admin writes policy.txt"
            );
        }
    }

    /// Each of these would load something, run a text as code, or show a text as HTML.
    #[test]
    fn the_page_loads_nothing_and_sets_no_html() {
        let document = document();
        for wrong in [
            "http://",
            "https://www",
            "src=",
            "@import",
            "url(",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "style=",
        ] {
            assert!(
                !document
                    .replace("http://www.w3.org/2000/svg", "")
                    .contains(wrong),
                "{wrong}"
            );
        }
        assert_eq!(document.matches("</script").count(), 1);
        assert_eq!(document.matches("</style").count(), 1);
    }
}
