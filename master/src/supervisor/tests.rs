//! Every rule of a child's life, without a process.
