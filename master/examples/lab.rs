//! The application that the integration tests ask: each path does one thing that a server must be
//! able to live with.
//!
//! `LAB_BOOT` makes it fail to load (`error`), die while loading (`exit`, `abort`) or soon after (`fleeting`), or take
//! `LAB_BOOT_MS` milliseconds, or until the file `LAB_BOOT_GATE` is there; with `LAB_RUNNER` it has background work;
//! `LAB_METRICS` chooses what it counts. Not an example to follow.

#[path = "lab/figures.rs"]
mod figures;
#[path = "lab/hoard.rs"]
mod hoard;
#[path = "lab/scribble.rs"]
mod scribble;

use std::io::{self, Read};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use http::StatusCode;
use oxicorn_common::request::{Body, Local};
use oxicorn_common::response::ResponseBody;
use oxicorn_common::{
    App, Application, EarlyOutput, LoadError, Metric, Request, Response, ResponseSink, Runner,
    WorkerContext,
};

fn main() -> ExitCode {
    oxicorn::run_application(Arc::new(LabApplication))
}

struct LabApplication;

impl Application for LabApplication {
    fn name(&self) -> &str {
        "lab"
    }

    fn metrics(&self) -> &'static [Metric] {
        figures::metrics()
    }

    fn can_preload(&self) -> bool {
        true
    }

    fn can_refork(&self) -> bool {
        true
    }

    fn load(&self, context: &WorkerContext) -> Result<Box<dyn App>, LoadError> {
        boot()?;
        Ok(Box::new(Lab(context.clone())))
    }

    fn has_runner(&self) -> bool {
        std::env::var_os("LAB_RUNNER").is_some()
    }

    fn runner(&self, _context: &WorkerContext) -> Result<Option<Runner>, LoadError> {
        Ok(Some(Box::new(|stop| {
            while !stop.requested() {
                sleep(Duration::from_millis(10));
            }
            Ok(())
        })))
    }
}

struct Lab(WorkerContext);

impl App for Lab {
    fn call(&self, request: &mut Request, sink: &mut ResponseSink<'_>) -> Response {
        match request.path() {
            "/write" => write(request, sink),
            _ => answer(request, &self.0),
        }
    }
}

fn boot() -> anyhow::Result<()> {
    let wanted = |name: &str| std::env::var(name).unwrap_or_default();
    sleep(Duration::from_millis(
        wanted("LAB_BOOT_MS").parse().unwrap_or(0),
    ));
    let gate = wanted("LAB_BOOT_GATE");
    if !gate.is_empty() {
        wait_for(std::path::Path::new(&gate));
    }
    match wanted("LAB_BOOT").as_str() {
        "error" => anyhow::bail!("the lab is closed"),
        "exit" => std::process::exit(7),
        "abort" => std::process::abort(),
        // Dies when it is ready.
        "fleeting" => {
            std::thread::spawn(|| {
                sleep(Duration::from_millis(100));
                std::process::exit(7)
            });
            Ok(())
        }
        // Fails from the moment that somebody makes the file.
        path if std::path::Path::new(path).exists() => anyhow::bail!("the lab has been closed"),
        _ => Ok(()),
    }
}

/// Until somebody makes the file.
fn wait_for(file: &std::path::Path) {
    while !file.exists() {
        sleep(Duration::from_millis(2));
    }
}

fn answer(request: &mut Request, context: &WorkerContext) -> Response {
    let query = request.query().unwrap_or_default().to_owned();
    let ms = Duration::from_millis(value(&query, "ms", 0));
    match request.path() {
        "/pid" => text(std::process::id()),
        "/worker-age" => text(context.age),
        "/generation" => text(context.generation),
        "/env" => text(std::env::var(word(&query, "name")).unwrap_or_default()),
        "/cwd" => text(
            std::env::current_dir().map_or_else(|it| it.to_string(), |it| it.display().to_string()),
        ),
        "/sleep" => {
            sleep(ms);
            text(std::process::id())
        }
        "/turn" => text(sleep_in_turn(ms)),
        "/hold" => {
            wait_for(std::path::Path::new(&word(&query, "until")));
            text(std::process::id())
        }
        "/hoard" => text(hoard::files(value(&query, "files", 0))),
        "/grow" => text(hoard::memory(value(&query, "mib", 0))),
        "/keep" => text(hoard::keep(&query)),
        "/kept" => text(hoard::kept()),
        "/together" => text(together(Duration::from_micros(value(&query, "us", 0)))),
        "/spin" => {
            spin(ms);
            text(std::process::id())
        }
        "/print" => {
            println!("out {}", word(&query, "text"));
            eprintln!("err {}", word(&query, "text"));
            text("printed")
        }
        "/echo" => echo(request),
        "/head" => text(describe(request)),
        "/origin" => text(origin(request)),
        "/id" => text(identity(request)),
        "/own-id" => text("x").field("x-request-id", "my own"),
        "/log" => {
            log(&query);
            text("logged")
        }
        "/upload" => upload(request),
        "/stream" => stream(&query),
        "/big" => bytes(vec![b'x'; value(&query, "bytes", 0)]),
        "/big-and-last" => {
            bytes(vec![b'x'; value(&query, "bytes", 0)]).field("Connection", "close")
        }
        "/status" => status(&query),
        "/bad-header" => text("x").field("X-Bad", "a\r\nSmuggled: yes"),
        "/fields" => text("x")
            .field("X-Answer", "42")
            .field("Set-Cookie", "a=b")
            .field("Set-Cookie", "c=d"),
        "/close" => text("x").field("Connection", "close"),
        "/panic" => panic!("on purpose"),
        "/panic-of-lines" => panic!("on \"purpose\"\nof two lines \u{1b}[31m\u{2028}"),
        "/orphan" => orphan(),
        "/count" => text(figures::write(&query, &context.metrics)),
        "/figures" => text(figures::read(&context.metrics)),
        "/scribble" => text(scribble::begin(&query, context.slot)),
        "/rubbish" => text(scribble::send_rubbish()),
        "/exit" => std::process::exit(value(&query, "code", 0)),
        "/abort" => std::process::abort(),
        _ => text("the lab"),
    }
}

fn text(content: impl ToString) -> Response {
    bytes(content.to_string().into_bytes())
}

fn bytes(content: Vec<u8>) -> Response {
    Response::new(StatusCode::OK)
        .field("Content-Type", "text/plain")
        .body(ResponseBody::Bytes(content))
}

/// `code`, with as many `bytes` of body, and with the fields `connection` and `upgrade`.
fn status(query: &str) -> Response {
    let status = StatusCode::from_u16(value(query, "code", 200));
    let mut response = Response::new(status.unwrap_or(StatusCode::OK));
    for name in ["Connection", "Upgrade"] {
        let said = word(query, &name.to_ascii_lowercase());
        if !said.is_empty() {
            response = response.field(name, said.to_owned());
        }
    }
    match value(query, "bytes", 0) {
        0 => response,
        size => response.body(ResponseBody::Bytes(vec![b'x'; size])),
    }
}

/// Sleeps when all others that do so have slept: threads that wait for each other.
fn sleep_in_turn(time: Duration) -> u32 {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    sleep(time);
    std::process::id()
}

/// How many calls were here while this one slept.
fn together(time: Duration) -> usize {
    static HERE: AtomicUsize = AtomicUsize::new(0);
    let before = HERE.fetch_add(1, Ordering::SeqCst);
    sleep(time);
    HERE.fetch_sub(1, Ordering::SeqCst).max(before + 1)
}

/// Leaves a process behind whose parent has ended.
fn orphan() -> Response {
    let outcome = Command::new("sh").args(["-c", "sleep 0.2 &"]).status();
    text(outcome.map_or_else(|it| it.to_string(), |it| it.to_string()))
}

/// The body as it came.
fn echo(request: &mut Request) -> Response {
    match request.body.read_all() {
        Ok(body) => bytes(body.into_owned()),
        Err(error) => text(error),
    }
}

/// What the server understood of the request, a line each, and its body.
fn describe(request: &mut Request) -> String {
    let head = &request.head;
    let mut lines = vec![format!(
        "{} {} {}",
        head.method(),
        head.target(),
        head.version
    )];
    lines.push(format!("path {}", head.path()));
    lines.extend(head.query().map(|query| format!("query {query}")));
    for (name, value) in head.fields() {
        lines.push(format!("{name}={}", value.escape_ascii()));
    }
    let body = request.body.read_all().unwrap_or_default();
    lines.push(format!("body {}", body.escape_ascii()));
    lines.join("\n")
}

/// Whose request it is, by which way it came.
fn origin(request: &Request) -> String {
    let local = match request.local {
        Local::Tcp(address) => address.to_string(),
        Local::Unix => "unix".to_owned(),
    };
    format!(
        "scheme {}\npeer {}\nlocal {local}\nproxied {}\ntrusted {}",
        request.scheme, request.peer, request.proxied, request.trusted
    )
}

/// The id of the request, and its trace.
fn identity(request: &Request) -> String {
    let id = request.id().unwrap_or_default().to_owned();
    match request.trace_context() {
        Some(trace) => format!("{id} {} {}", trace.trace_id(), trace.span_id()),
        None => id,
    }
}

/// Logs `text` on this thread, and on another one.
fn log(query: &str) {
    let said = word(query, "text").to_owned();
    log::warn!("front {said}");
    let other = std::thread::spawn(move || log::warn!("back {said}"));
    let _ = other.join();
}

/// Reads a body piece by piece: where it was kept, its length, the sum of its bytes.
fn upload(request: &mut Request) -> Response {
    let kept = match request.body {
        Body::Memory(_) => "memory",
        Body::Spooled { .. } => "file",
    };
    let mut piece = vec![0; 64 * 1024];
    let (mut length, mut sum) = (0_u64, 0_u64);
    loop {
        match request.body.read(&mut piece) {
            Ok(0) => return text(format!("{kept} {length} {sum}")),
            Ok(count) => {
                length += count as u64;
                sum += piece[..count].iter().copied().map(u64::from).sum::<u64>();
            }
            Err(error) => return text(error),
        }
    }
}

/// `pieces` pieces of `bytes` each, `ms` apart; piece `fail` is an error, piece `panic` a panic, piece
/// `stuck` takes a minute.
fn stream(query: &str) -> Response {
    let size: usize = value(query, "bytes", 1);
    let pause = Duration::from_millis(value(query, "ms", 0));
    let (fail, panic) = (value(query, "fail", 0), value(query, "panic", 0));
    let stuck = value(query, "stuck", 0);
    let pieces = (1..=value(query, "pieces", 1_u64)).map(move |number| {
        assert!(number != panic, "on purpose");
        sleep(match number == stuck {
            true => Duration::from_secs(60),
            false => pause,
        });
        match number == fail {
            true => Err(io::Error::other("no more")),
            false => Ok(vec![b'y'; size].into()),
        }
    });
    Response::new(StatusCode::OK).body(ResponseBody::stream(Box::new(pieces)))
}

/// As [`stream`], by writing what others return.
fn write(request: &Request, sink: &mut ResponseSink<'_>) -> Response {
    let query = request.query().unwrap_or_default();
    let piece = vec![b'z'; value(query, "bytes", 1)];
    let pause = Duration::from_millis(value(query, "ms", 0));
    let head = || {
        let nothing = ResponseBody::stream(Box::new(std::iter::empty()));
        Response::new(StatusCode::OK).body(nothing)
    };
    let mut sent = sink.send(EarlyOutput::Head(&head()));
    for number in 1..=value(query, "pieces", 1_u64) {
        sleep(match number == value(query, "stuck", 0) {
            true => Duration::from_secs(60),
            false => pause,
        });
        sent = sent.and_then(|()| sink.send(EarlyOutput::Piece(&piece)));
    }
    if let Err(error) = sent {
        eprintln!("the lab cannot write: {error}");
    }
    head()
}

fn spin(duration: Duration) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// A parameter of the query as a number.
fn value<T: FromStr>(query: &str, name: &str, default: T) -> T {
    word(query, name).parse().unwrap_or(default)
}

/// A parameter of the query as it stands.
fn word<'a>(query: &'a str, name: &str) -> &'a str {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let found = pairs.find(|(key, _)| *key == name);
    found.map_or("", |(_, value)| value)
}
