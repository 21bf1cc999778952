//! What the admin process says on `/metrics`, as Prometheus reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::{Builder, Client, Server};

/// The value of each series, by its name with labels.
#[derive(Debug)]
pub(crate) struct Exposition(BTreeMap<String, f64>);

impl Builder {
    /// With an admin process, which [`Server::exposition`] asks.
    pub(crate) fn admin(self) -> Self {
        self.args(&["--admin-bind", "127.0.0.1:0"])
    }
}

impl Server {
    pub(crate) fn exposition(&self) -> Exposition {
        const LISTENS: &str = "Admin process listens at: ";
        let line = self.log().wait_for(LISTENS);
        let place = line
            .split(LISTENS)
            .nth(1)
            .and_then(|rest| rest.split("://").nth(1));
        let place = place.and_then(|rest| rest.split([',', ' ', '/']).next());
        let address: SocketAddr = place.and_then(|it| it.parse().ok()).expect("an address");
        let answer = Client::connect(address).and_then(|mut client| {
            client.send(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
            client.answer()
        });
        let answer = answer.expect("the admin process answers");
        assert_eq!(answer.status, 200, "{answer:?}");
        Exposition::of(&answer.text())
    }
}

impl Exposition {
    fn of(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value = value
                .parse()
                .unwrap_or_else(|_| panic!("no number: {line}"));
            (name.to_owned(), value)
        });
        Self(series.collect())
    }

    /// The value of `name`, such as `a_total` or `a{b="c"}`.
    pub(crate) fn value(&self, name: &str) -> f64 {
        let found = self.0.get(name);
        *found.unwrap_or_else(|| panic!("no {name} in {:?}", self.0.keys()))
    }

    /// Those of several.
    pub(crate) fn values<const COUNT: usize>(&self, names: [&str; COUNT]) -> [f64; COUNT] {
        names.map(|name| self.value(name))
    }

    /// The sum of a metric over all values of its labels.
    pub(crate) fn sum(&self, metric: &str) -> f64 {
        let of_it = |name: &str| name.split('{').next() == Some(metric);
        let all = self.0.iter().filter(|(name, _)| of_it(name));
        all.map(|(_, value)| value).sum()
    }
}
