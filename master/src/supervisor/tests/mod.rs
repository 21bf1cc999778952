//! Every rule of a child's life, without a process.

mod boot;
mod recycle;
mod reload;
mod scene;
mod signals;
mod storm;
mod succession;
mod watch;
