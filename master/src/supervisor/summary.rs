//! One line on the state of the server, for people who ask the service manager.

use super::Supervisor;
use super::child::{Child, ChildKind};

impl Supervisor {
    pub(crate) fn summary(&self) -> String {
        if self.stopping.is_some() {
            return format!("Stopping; children left: {}", self.children.len());
        }
        let newest = self.newest();
        let Some((generation, _)) = self.generations.serving() else {
            return format!("Generation {newest} boots");
        };
        let ready = self
            .live(ChildKind::Web, generation)
            .filter(|child: &&Child| child.is_ready())
            .count();
        let target = self.target(ChildKind::Web);
        let subject = match self.drains_at {
            Some(_) => "Draining (drain_delay); generation",
            None => "Generation",
        };
        let mut text = format!("{subject} {generation}: {ready} of {target} workers ready");
        if self.generations.is_incoming() {
            text.push_str(&format!("; generation {newest} boots"));
        } else if let Some(reason) = &self.reload_failure {
            text.push_str(&format!("; the last reload failed: {reason}"));
        }
        text
    }
}
