//! Every rule of a child's life, without a process.

mod admin;
mod boot;
mod delay;
mod liveness;
mod random_events;
mod recycle;
mod reload;
mod restarts;
mod settling;
mod signals;
mod simulation;
mod upgrade;
