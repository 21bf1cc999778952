//! Who waits for what: commands that are answered when something has happened.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::ClientId;

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The reload that begins this generation, or a later one that succeeds.
    Reload { generation: u32 },
    /// The new master of an upgrade.
    NewMaster,
    /// The stacks of all workers.
    Stacks,
    /// The end of the server, whose newest generation is this one.
    End { generation: u32 },
}

/// The answer to one client.
pub(crate) type ControlAnswer = (ClientId, Result<Value, String>);

#[derive(Debug, Default)]
pub(crate) struct Waits(BTreeMap<ClientId, Awaited>);

impl Waits {
    pub(crate) fn add(&mut self, client: ClientId, awaited: Awaited) {
        self.0.insert(client, awaited);
    }

    /// All clients that wait.
    pub(crate) fn clients(&self) -> Vec<ClientId> {
        self.0.keys().copied().collect()
    }

    /// Forgets clients that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(ClientId) -> bool) {
        self.0.retain(|&client, _| is_there(client));
    }

    /// A reload has succeeded, or failed for a reason.
    pub(crate) fn end_reload(&mut self, ended: u32, failure: Option<&str>) -> Vec<ControlAnswer> {
        let outcome = match failure {
            None => Ok(json!({"status": "reloaded", "generation": ended})),
            Some(reason) => Err(format!("Reload failed: {reason}")),
        };
        let is_it = |awaited: &Awaited| match awaited {
            Awaited::Reload { generation } if failure.is_none() => *generation <= ended,
            Awaited::Reload { generation } => *generation == ended,
            _ => false,
        };
        self.end(is_it, &outcome)
    }

    /// The new master serves, or there is none.
    pub(crate) fn end_upgrade(&mut self, outcome: Result<i32, &str>) -> Vec<ControlAnswer> {
        let outcome = match outcome {
            Ok(pid) => Ok(json!({"status": "upgraded", "pid": pid})),
            Err(reason) => Err(format!("Upgrade failed: {reason}")),
        };
        self.end(|awaited| *awaited == Awaited::NewMaster, &outcome)
    }

    /// The stacks are there.
    pub(crate) fn end_stacks(&mut self, stacks: &Value) -> Vec<ControlAnswer> {
        self.end(|awaited| *awaited == Awaited::Stacks, &Ok(stacks.clone()))
    }

    /// The server begins to stop, perhaps because of a failure.
    pub(crate) fn stop(&mut self, failure: Option<&str>) -> Vec<ControlAnswer> {
        let reason = failure.map_or_else(String::new, |it| format!(": {it}"));
        let outcome = Err(format!("The server is shutting down{reason}"));
        let is_over = |awaited: &Awaited| match awaited {
            Awaited::Reload { .. } | Awaited::NewMaster => true,
            Awaited::Stacks | Awaited::End { .. } => false,
        };
        self.end(is_over, &outcome)
    }

    /// The server has ended, with this exit code. Who asks again after an upgrade may have reached another master than
    /// before, so the answer says which one it was.
    pub(crate) fn finish(&mut self, code: i32) -> Vec<ControlAnswer> {
        let pid = std::process::id();
        let answer = |(client, awaited)| {
            let mut data = json!({"status": "ended", "code": code, "pid": pid});
            if let Awaited::End { generation } = awaited {
                data["generation"] = generation.into();
            }
            (client, Ok(data))
        };
        std::mem::take(&mut self.0)
            .into_iter()
            .map(answer)
            .collect()
    }

    fn end(
        &mut self,
        is_it: impl Fn(&Awaited) -> bool,
        outcome: &Result<Value, String>,
    ) -> Vec<ControlAnswer> {
        let ended = self.0.extract_if(.., |_, awaited| is_it(awaited));
        ended.map(|(client, _)| (client, outcome.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(answers: &[ControlAnswer], is_ok: bool) -> Vec<ClientId> {
        let answers = answers.iter().filter(|it| it.1.is_ok() == is_ok);
        answers.map(|it| it.0).collect()
    }

    #[test]
    fn each_reload_tells_those_that_have_waited_for_it() {
        let mut waits = Waits::default();
        for (client, generation) in [(1, 2), (2, 3), (3, 3)] {
            waits.add(client, Awaited::Reload { generation });
        }
        waits.add(4, Awaited::NewMaster);
        let failed = waits.end_reload(3, Some("broken"));
        assert_eq!(ids(&failed, false), [2, 3]);
        assert_eq!(failed[0].1, Err("Reload failed: broken".to_owned()));
        assert!(waits.end_reload(3, Some("once")).is_empty());
        let succeeded = waits.end_reload(4, None);
        assert_eq!(ids(&succeeded, true), [1], "a later one that succeeds");
        assert_eq!(waits.clients(), [4]);
    }

    #[test]
    fn the_end_tells_everybody() {
        let mut waits = Waits::default();
        waits.add(1, Awaited::Reload { generation: 2 });
        waits.add(2, Awaited::NewMaster);
        waits.add(3, Awaited::End { generation: 7 });
        waits.add(4, Awaited::NewMaster);
        waits.retain(|client| client != 4);
        assert_eq!(ids(&waits.end_upgrade(Err("no")), false), [2]);
        assert_eq!(ids(&waits.stop(None), false), [1]);
        let ended = waits.finish(0);
        assert_eq!(ids(&ended, true), [3]);
        let data = ended[0].1.as_ref().expect("an answer");
        assert_eq!(
            (&data["generation"], &data["pid"]),
            (&json!(7), &json!(std::process::id()))
        );
    }
}
