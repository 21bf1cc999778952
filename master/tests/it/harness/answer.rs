//! A response as the client of the tests has read it.

/// Status, fields and body; the body without its framing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the head; `None` if it is not HTTP/1.1.
    pub(crate) fn from_head(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?;
        let fields = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(": ")?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            status: status.get(..3)?.parse().ok()?,
            fields,
            body: Vec::new(),
        })
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self
            .fields
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.as_str())
    }

    /// Whether the server said that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        let mut options = self.field("Connection").unwrap_or_default().split(", ");
        options.any(|option| option.eq_ignore_ascii_case("close"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a number.
    pub(crate) fn number(&self) -> i64 {
        let text = self.text();
        let number = text.trim().parse();
        number.unwrap_or_else(|_| panic!("no number: {text:?}"))
    }
}
