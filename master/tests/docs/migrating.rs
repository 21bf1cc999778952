//! The table of `docs/migrating-from-gunicorn.md`: every setting of gunicorn, and what it does here.

use std::fmt::Write;

use oxicorn_common::Settings;
use oxicorn_common::settings::{Kind, SETTINGS, Setting, Standing};

use super::{compare, read};

const BEGIN: &str = "<!-- settings: made from the rows of settings -->\n";
const END: &str = "<!-- settings: end -->\n";
const PAGE: &str = "docs/migrating-from-gunicorn.md";

/// Settings that gunicorn does not have.
const OURS: [&str; 24] = [
    "access_log_json",
    "admin_bind",
    "admin_ca_certs",
    "admin_certfile",
    "admin_keyfile",
    "admin_token",
    "admin_token_file",
    "body_buffer_size",
    "body_buffer_total",
    "body_min_rate",
    "body_timeout",
    "env_file",
    "error_log_json",
    "header_timeout",
    "limit_request_body",
    "limit_request_head",
    "max_queue",
    "queue_timeout",
    "request_id",
    "runners",
    "server_header",
    "slow_request",
    "write_min_rate",
    "write_timeout",
];

/// How a setting differs from gunicorn's, and why.
const DIFFERENCES: [(&str, &str); 28] = [
    (
        "access_log_format",
        "a format with an unknown atom is refused at the start; backslashes, control characters and line separators in values are escaped; JSON stays JSON",
    ),
    (
        "bind",
        "also several addresses with commas; port 0 takes a free port",
    ),
    (
        "chdir",
        "a missing directory is refused, and the source of the setting named",
    ),
    (
        "check_config",
        "also checks files, addresses, certificates and URLs; prints `ok`",
    ),
    (
        "config",
        "`oxicorn.conf.py` is tried after `gunicorn.conf.py`; a module (`python:NAME`) is also executed again on SIGHUP; unknown names cause a warning",
    ),
    (
        "forwarded_allow_ips",
        "an IPv4 address on an IPv6 socket counts as IPv4",
    ),
    (
        "graceful_timeout",
        "applies to SIGHUP, max_requests and SIGTTOU as well as SIGTERM",
    ),
    ("group", "defaults to the group of `user`, not the master's"),
    ("initgroups", "on if `user` is set and `group` is not"),
    (
        "keepalive",
        "default 75 instead of 2: an idle connection holds no thread",
    ),
    (
        "limit_request_line",
        "default 8190 instead of 4094: RFC 9112 section 3 asks for at least 8000 octets",
    ),
    (
        "logger_class",
        "a subclass of `gunicorn.glogging.Logger`, whether or not gunicorn is installed",
    ),
    (
        "max_requests",
        "the replacement is ready before the worker drains",
    ),
    ("on_exit", "an exception is logged; the exit code stays"),
    (
        "on_reload",
        "an exception fails the reload and changes nothing; gunicorn ends",
    ),
    (
        "on_starting",
        "as in gunicorn, before anything is bound; with `daemon`, after the fork",
    ),
    (
        "child_exit",
        "also called for the mold; an exception is logged; gunicorn ends",
    ),
    (
        "pidfile",
        "locked while the server lives, so that a stale one never blocks a start",
    ),
    (
        "post_request",
        "called when the application is done, maybe before the client has the whole response",
    ),
    (
        "pre_fork",
        "an exception keeps that worker from booting; gunicorn ends",
    ),
    (
        "pre_exec",
        "an exception cancels the new master; the old one reports it and keeps serving",
    ),
    (
        "preload_app",
        "loaded in a child of the master, the mold, after `when_ready`; SIGHUP loads it again; gunicorn never does",
    ),
    (
        "root_path",
        "the SCRIPT_NAME of a WSGI application; gunicorn has it for ASGI only",
    ),
    (
        "sendfile",
        "`sendfile = True` leaves it on; in gunicorn any value turns it off",
    ),
    (
        "timeout",
        "also a deadline per request, answered with 504, and per piece of a stream; with `reload` it is only logged",
    ),
    (
        "umask",
        "a text such as \"022\" is octal, as on the command line",
    ),
    (
        "worker_abort",
        "called when a request outlives `timeout`, on a thread of its own; the worker drains afterwards",
    ),
    ("workers", "1 to 250, or auto; gunicorn also accepts 0"),
];

fn table() -> String {
    let mut table = String::from("| setting | flags | default | here |\n|---|---|---|---|\n");
    let gunicorns = SETTINGS.iter().filter(|row| !OURS.contains(&row.name));
    for row in gunicorns {
        let flags = row.flags.iter().map(|flag| format!("`{flag}`"));
        let flags: Vec<_> = flags.collect();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} |",
            row.name,
            flags.join(" "),
            match row.default {
                "" => String::new(),
                default => format!("`{}`", default.replace('|', "\\|")),
            },
            fate(row)
        );
    }
    table
}

fn fate(row: &Setting) -> String {
    let differences = DIFFERENCES.iter().filter(|(name, _)| *name == row.name);
    let difference = differences.map(|(_, text)| *text).next();
    match (row.standing, row.kind) {
        (Standing::Works, _) => match difference {
            Some(text) => format!("works; {text}"),
            None => "works".to_owned(),
        },
        (Standing::NoEffect(reason), _) => format!("no effect: {reason}"),
        (Standing::Refused, Kind::Hook(_)) => {
            let reason = row.help.trim_start_matches("Not taken: ");
            format!("refused: {}", reason.trim_end_matches('.'))
        }
        (Standing::Refused, _) => {
            let refusal = (row.apply)(&mut Settings::default(), "\u{0}").expect_err("a refusal");
            format!("refused unless {refusal}")
        }
    }
}

#[test]
fn the_migration_page_has_what_the_rows_say() {
    let page = read(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("a page with a table");
    let (_, after) = rest.split_once(END).expect("an end of the table");
    compare(PAGE, &format!("{before}{BEGIN}{}{END}{after}", table()));
}

#[test]
fn differences_and_settings_of_ours_are_rows() {
    let names = DIFFERENCES.iter().map(|(name, _)| name).chain(&OURS);
    for name in names {
        assert!(SETTINGS.iter().any(|row| row.name == *name), "{name}");
    }
}
