//! An application with a setting of its own: `cargo run --example own_settings -- --greeting Ahoy`, or
//! `GREETING=Ahoy`. `--help` and `--print-config` show it beside the server's. All workers count their visitors together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use oxicorn::settings::{Kind, Section, Setting, Standing};
use oxicorn::{
    App, Application, LoadError, Request, Response, ResponseBody, Settings, WorkerContext,
};

/// The values of the settings below.
#[derive(Debug, Clone, Default, PartialEq)]
struct Own {
    greeting: String,
}

static SETTINGS: [Setting; 1] = [Setting {
    name: "greeting",
    section: Section::Application("Greeting"),
    flags: &["--greeting"],
    kind: Kind::Value("TEXT"),
    default: "Hello",
    bare: Some("GREETING"),
    standing: Standing::Works,
    help: "What every request is answered with, 1 to 100 characters.",
    apply: |settings, text| {
        if !(1..=100).contains(&text.chars().count()) {
            return Err("1 to 100 characters".to_owned());
        }
        settings.application_values.get_mut::<Own>().greeting = text.to_owned();
        Ok(())
    },
    show: |settings| own(settings).greeting.clone(),
}];

fn own(settings: &Settings) -> &Own {
    let own = settings.application_values.get();
    own.expect("the server has read the settings of the application that it serves")
}

struct Greeter;

impl Application for Greeter {
    fn name(&self) -> &str {
        "greeter"
    }

    fn settings(&self) -> &'static [Setting] {
        &SETTINGS
    }

    fn shared_words(&self) -> usize {
        1
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        let greeting = own(&context.settings).greeting.clone();
        let visitors = context.shared_memory.clone();
        Ok(Box::new(move |_: &mut Request| {
            let before = visitors[0].fetch_add(1, Ordering::Relaxed);
            let text = format!("{greeting}, visitor {}", before + 1);
            Response::text("").body(ResponseBody::Bytes(text.into_bytes()))
        }))
    }
}

fn main() -> std::process::ExitCode {
    oxicorn::run_application(Arc::new(Greeter))
}
