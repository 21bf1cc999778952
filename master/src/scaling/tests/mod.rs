//! The policy over loads of every kind, on a simulated server.

mod loads;
mod simulated_server;
