//! A server for one's own application: `cargo run --example three_lines -- --workers 2`.

use oxicorn::{Request, Response};

fn main() -> std::process::ExitCode {
    oxicorn::run(|_worker| Ok(|_: &mut Request| Response::text("Hello, World!")))
}
