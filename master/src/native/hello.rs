//! `native:hello`: answers every request with `Hello, World!`, to measure the server itself.

use oxicorn_common::{App, Application, LoadError, Request, Response, WorkerContext};

#[derive(Debug)]
pub(super) struct Hello;

impl Application for Hello {
    fn name(&self) -> &str {
        "native:hello"
    }

    fn can_refork(&self) -> bool {
        true
    }

    fn load(&self, _context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        Ok(Box::new(|_: &mut Request| Response::text("Hello, World!")))
    }
}
