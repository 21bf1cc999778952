//! Tests of the real binary. Each starts servers of its own, on ports that the kernel chooses.
//!
//! One crate with a module per topic, because linking costs more than running. `harness` starts and stops servers and plays
//! the clients; it knows nothing of the topics.

mod harness;

mod admin;
mod application_metrics;
mod basics;
mod bind;
mod control;
mod corpus;
mod ctl;
mod deadlines;
mod deaths;
mod descriptors;
mod drain;
mod early_refusals;
mod fairness;
mod framing;
mod full_house;
mod heads;
mod json_logs;
mod logs;
mod mechanics;
mod own_settings;
mod privileges;
mod proxy;
mod rate_limits;
mod rates;
mod recycling;
mod refork;
mod reload;
mod request_ids;
mod scaling;
mod service;
mod settings;
mod shedding;
mod shortages;
mod signals;
mod slow_requests;
mod static_files;
mod statsd;
mod stopped_readers;
mod streams;
mod syslog;
mod systemd;
mod tls;
mod units;
mod upgrade;
mod upload;
