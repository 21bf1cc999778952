//! Connects to the brokers of a topic with the client that suits them.

use super::client::{Publisher, Subscriber, Topic};
use super::error::EventsError;
use super::legacy::{LegacyPublisher, LegacySubscriber};
use super::modern::{ModernPublisher, ModernSubscriber};
use super::probe::{BrokerGeneration, probe};

impl Topic {
    pub(super) fn publisher(&self) -> Result<Box<dyn Publisher>, EventsError> {
        Ok(match probe(&self.brokers)? {
            BrokerGeneration::Legacy => Box::new(LegacyPublisher::connect(self)?),
            BrokerGeneration::Modern => Box::new(ModernPublisher::connect(self)?),
        })
    }

    pub(super) fn subscriber(&self, group: &str) -> Result<Box<dyn Subscriber>, EventsError> {
        Ok(match probe(&self.brokers)? {
            BrokerGeneration::Legacy => Box::new(LegacySubscriber::connect(self, group)?),
            BrokerGeneration::Modern => Box::new(ModernSubscriber::connect(self, group)?),
        })
    }
}
