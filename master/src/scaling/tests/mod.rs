//! The policy over loads of every kind, on a simulated server.

mod loads;
mod recorded;
mod simulated_server;
