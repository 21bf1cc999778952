//! The table of `docs/migrating-from-gunicorn.md`: every setting of gunicorn, and what comes of it here.

use std::fmt::Write;

use super::{compare, read};
use crate::settings::setting::{Kind, Setting, Standing};
use crate::settings::{SETTINGS, Section, Settings};

const BEGIN: &str = "<!-- settings: made from common/src/settings/rows -->\n";
const END: &str = "<!-- settings: end -->\n";
const PAGE: &str = "docs/migrating-from-gunicorn.md";

/// Settings that gunicorn does not have.
const OURS: [&str; 12] = [
    "body_buffer_size",
    "body_buffer_total",
    "body_min_rate",
    "body_timeout",
    "env_file",
    "header_timeout",
    "limit_request_body",
    "limit_request_head",
    "runners",
    "server_header",
    "write_min_rate",
    "write_timeout",
];

/// What is otherwise than in gunicorn, and why.
const DIFFERENCES: [(&str, &str); 28] = [
    (
        "access_log_format",
        "a format with an atom that cannot be read is refused at the start; backslashes, control characters and line separators in values are escaped; JSON stays JSON",
    ),
    (
        "bind",
        "several addresses with commas are taken too; port 0 takes a free one",
    ),
    (
        "chdir",
        "a directory that is missing is refused with the source of the setting",
    ),
    (
        "check_config",
        "files, addresses, certificates and URLs are checked too; it says `ok`",
    ),
    (
        "config",
        "`oxicorn.conf.py` is looked for after `gunicorn.conf.py`; a module (`python:NAME`) is executed again on SIGHUP too; slips in names are remarked on",
    ),
    (
        "forwarded_allow_ips",
        "an IPv4 address that comes over an IPv6 socket counts as itself",
    ),
    (
        "graceful_timeout",
        "it holds for SIGHUP, max_requests and SIGTTOU as for SIGTERM",
    ),
    ("group", "not set is the group of `user`, not the master's"),
    ("initgroups", "on where `user` is set and `group` is not"),
    (
        "keepalive",
        "default 75 instead of 2: an idle connection holds no thread",
    ),
    (
        "limit_request_line",
        "default 8190 instead of 4094: RFC 9112 section 3 asks for 8000 octets at least",
    ),
    (
        "logger_class",
        "a subclass of `gunicorn.glogging.Logger`, whether or not gunicorn is installed",
    ),
    (
        "max_requests",
        "the replacement is ready before the worker drains",
    ),
    ("on_exit", "what it raises is logged; the exit code stays"),
    (
        "on_reload",
        "when it raises, the reload fails and everything stays as it is; gunicorn ends",
    ),
    (
        "on_starting",
        "as in gunicorn before anything is bound, with `daemon` after the fork",
    ),
    (
        "child_exit",
        "called for the mold too; what it raises is logged; gunicorn ends",
    ),
    (
        "pidfile",
        "it is locked while the server lives, so that a stale one is never in the way",
    ),
    (
        "post_request",
        "called when the application is done, maybe before the client has all of the response",
    ),
    (
        "pre_fork",
        "when it raises, that worker cannot boot; gunicorn ends",
    ),
    (
        "pre_exec",
        "when it raises, there is no new master; the old one says so and serves on",
    ),
    (
        "preload_app",
        "loaded in a child of the master, the mold, after `when_ready`; SIGHUP loads it anew, gunicorn never",
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
        "a deadline for each request, answered 504, beside the heartbeat of the worker; a stream has it for each piece; with `reload` it is only logged",
    ),
    (
        "umask",
        "a text such as \"022\" is octal, as on the command line",
    ),
    (
        "worker_abort",
        "called when a request outlives `timeout`, on a thread of its own; the worker drains afterwards",
    ),
    (
        "workers",
        "1 to 250, or auto; gunicorn takes 0 for a server without workers",
    ),
];

fn table() -> String {
    let mut table = String::from("| setting | flags | default | here |\n|---|---|---|---|\n");
    let gunicorns = SETTINGS
        .iter()
        .filter(|row| row.section != Section::Service && !OURS.contains(&row.name));
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
        (Standing::Accepted(reason), _) => format!("no effect: {reason}"),
        (Standing::Later, Kind::Hook(_)) => {
            let reason = row.help.trim_start_matches("Not taken: ");
            format!("refused: {}", reason.trim_end_matches('.'))
        }
        (Standing::Later, _) => {
            let refusal = (row.apply)(&mut Settings::blank(), "\u{0}").expect_err("a refusal");
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
