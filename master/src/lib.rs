//! The supervisor: binds, forks, watches, replaces. It never reads a client's byte.
