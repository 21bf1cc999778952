//! Settings that are rejected, and settings that only cause a warning.

use super::*;

#[test]
fn bad_values_name_source_value_and_remedy() {
    assert_eq!(
        refusal(&["--workers", "many"], &[]),
        "flag --workers: invalid value \"many\": expected a whole number from 1 to 250, or auto"
    );
    assert_eq!(
        refusal(&[], &[("GUNICORN_CMD_ARGS", "-t -1")]),
        "flag --timeout in GUNICORN_CMD_ARGS: invalid value \"-1\": \
         expected a number of seconds from 0 to 31536000"
    );
    assert_eq!(
        refusal(&[], &[("LOG_LEVEL", "loud")]),
        "variable LOG_LEVEL: invalid value \"loud\": \
         expected debug, info, warning, error or critical, or a number of Python's from 0 to 50"
    );
    assert_eq!(
        refusal(&[], &[("PORT", "http")]),
        "variable PORT: invalid value \"http\": expected a whole number from 0 to 65535"
    );
    assert_eq!(
        refusal(&["--chdir", "nowhere"], &[]),
        "flag --chdir: invalid value \"/nowhere\": expected a directory that exists"
    );
    assert_eq!(
        refusal(&["--workers", "250"], &[]),
        "flag --workers: invalid value \"250\": expected 249 at most with runners = 1"
    );
    let url = refusal(&["--bind", "mysql://me:secret@host/db"], &[]);
    assert!(!url.contains("secret"), "{url}");
}

#[test]
fn bad_usage_is_one_line() {
    assert_eq!(
        refusal(&["--worker", "2"], &[]),
        "unknown flag --worker: did you mean --workers?"
    );
    assert_eq!(
        refusal(&["--zzz"], &[]),
        "unknown flag --zzz: --help lists all"
    );
    assert_eq!(
        refusal(&["a:b", "c"], &[]),
        "unexpected argument \"c\": one application is served"
    );
    assert_eq!(
        refusal(&["--workers"], &[]),
        "flag --workers: a value is missing: <COUNT>"
    );
    assert_eq!(
        refusal(&["--daemon=yes"], &[]),
        "flag --daemon: invalid value \"yes\": it takes none"
    );
    assert_eq!(
        refusal(&[], &[("OXICORN_CMD_ARGS", "--name 'x")]),
        "variable OXICORN_CMD_ARGS: a quotation mark is not closed"
    );
}

#[test]
fn flags_of_other_servers_are_translated() {
    for (flag, ours) in [
        ("--host", "--bind"),
        ("--port", "--bind"),
        ("--uds", "--bind unix:"),
        ("--ssl-keyfile", "--keyfile"),
        ("--ssl-certfile", "--certfile"),
        ("--processes", "--workers"),
        ("--factory", "module:factory()"),
    ] {
        let text = refusal(&[flag, "1"], &[]);
        assert!(
            text.starts_with(&format!("unknown flag {flag}: ")),
            "{text}"
        );
        assert!(text.contains(ours), "{text}");
    }
}

#[test]
fn an_address_that_is_none_says_what_would_be_one() {
    let text = refusal(&["--bind", "5331"], &[]);
    assert!(
        text.contains("127.0.0.1:5331") && text.contains(":5331 for all"),
        "{text}"
    );
    let text = refusal(&["--bind", "localhost:70000"], &[]);
    assert!(
        text.contains("\"localhost:70000\"") && text.contains("0 to 65535"),
        "{text}"
    );
    let text = refusal(&["-c", "nowhere.py"], &[]);
    assert!(
        text.contains("/nowhere.py") && !text.contains("entity"),
        "{text}"
    );
}

#[test]
fn unknown_variables_of_gunicorns_are_named() {
    let environment = [
        ("GUNICORN_WORKRES", "1"),
        ("GUNICORN_PID", "1"),
        ("GUNICORN_SERVICE_HOST", "10.0.0.1"),
        ("GUNICORN_CMD_ARGS", "-w 2"),
    ];
    assert_eq!(
        load(&[], &environment).warnings,
        ["variable GUNICORN_WORKRES is no setting and is ignored: did you mean GUNICORN_WORKERS?"]
    );
}

#[test]
fn unknown_variables_of_ours_are_named() {
    let environment = [
        ("OXICORN_WORKER", "1"),
        ("OXICORN_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("GUNICORN_STATSD_HOST", "x"),
        ("OXICORN_CMD_ARGS", "-w 2"),
        ("OXICORN_SERVICES_DIR", "/tmp"),
    ];
    assert_eq!(
        load(&[], &environment).warnings,
        ["variable OXICORN_WORKER is no setting and is ignored: did you mean OXICORN_WORKERS?"]
    );
}

#[test]
fn what_is_not_served_is_refused_by_name_with_a_remedy() {
    for row in textual().filter(|row| row.standing == Standing::Refused) {
        for flag in row.flags {
            let text = refusal(&[flag, "4711"], &[]);
            assert!(text.starts_with(&format!("flag {flag}: invalid value \"4711\": expected")));
            assert!(text.matches(": ").count() >= 3, "{text}");
        }
    }
    assert_eq!(
        refusal(&["-k", "gevent"], &[]),
        "flag --worker-class: invalid value \"gevent\": expected sync or gthread: there are no \
         greenlets; idle and slow clients hold no thread here, so raise threads instead"
    );
    assert!(refusal(&["--keyfile", "/x.pem"], &[]).contains("expected a certfile"));
    assert!(refusal(&["--paste", "nowhere.ini#main"], &[]).contains("/nowhere.ini#main"));
    assert!(refusal(&["--reload-extra-file", "/nowhere/x"], &[]).contains("that exists"));
    load(&["--reload-extra-file", "/nowhere/*"], &[]);
}

#[test]
fn a_setting_without_effect_is_explained_once() {
    let loaded = load(&["--worker-tmp-dir", "/dev/shm", "--http-parser=auto"], &[]);
    assert_eq!(
        loaded.warnings,
        [
            "flag --worker-tmp-dir: worker_tmp_dir has no effect: heartbeats are words in shared \
             memory, there is no file"
        ]
    );
}
