//! Every rule of a child's life, without a process.

mod admin;
mod aging;
mod boot;
mod delay;
mod liveness;
mod memory;
mod random_events;
mod recycle;
mod refork;
mod reload;
mod restarts;
mod scaling;
mod settling;
mod signals;
mod simulation;
mod upgrade;
