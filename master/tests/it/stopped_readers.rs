//! Standard error and output are pipes whose reader has stopped reading.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};

use crate::harness::{Builder, Client, Server, eventually};

/// Keeps the pipe open, and as small as possible.
fn pipe(directory: &Path) -> File {
    let path = directory.join("pipe");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a pipe");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    let options = options.custom_flags(libc::O_NONBLOCK);
    let pipe = options.open(path).expect("a pipe");
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("a size");
    pipe
}

/// A server whose two streams are the pipe; it runs under the command `more`.
fn server(builder: Builder, more: &str) -> Server {
    let command = format!("exec {more} \"$@\" >pipe 2>&1");
    let builder = builder
        .lab()
        .workers(2)
        .under(&["sh", "-c", &command, "sh"])
        .args(&["--access-logfile", "-"]);
    let socket = builder.dir().join("app.sock");
    let server = builder.bind("unix:app.sock").spawn();
    eventually("it serves", || ask(&socket, "/"));
    server
}

fn ask(socket: &Path, target: &str) -> Option<u16> {
    let answer = Client::connect_unix(socket).ok()?.get(target).ok()?;
    Some(answer.status)
}

/// Requests are answered although their lines find no room, and the master obeys its signals.
fn assert_serves_on(mut server: Server) {
    let socket = server.dir().join("app.sock");
    for _ in 0..60 {
        assert_eq!(ask(&socket, "/panic"), Some(500));
    }
    let before = server.wait_for_children(2);
    server.signal(Signal::SIGHUP);
    server.wait_for_others(&before, 2);
    for _ in 0..20 {
        server.signal(Signal::SIGUSR1);
        assert_eq!(ask(&socket, "/panic"), Some(500));
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn requests_do_not_wait_for_a_stopped_log_reader() {
    let builder = Server::new("stopped reader");
    let _pipe = pipe(builder.dir());
    assert_serves_on(server(builder, ""));
}

/// As above, but the pipe belongs to another user, so the server cannot open it again.
#[test]
fn nobody_waits_for_a_pipe_of_another() {
    if !Uid::effective().is_root() {
        eprintln!("skipped: only root can give its pipe to somebody else");
        return;
    }
    let builder = Server::new("pipe of another");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(builder.dir(), open).expect("root");
    let _pipe = pipe(builder.dir());
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    assert_serves_on(server(builder, nobody));
}

#[test]
fn lost_lines_are_reported_when_the_reader_is_back() {
    let builder = Server::new("reader comes back");
    let mut pipe = pipe(builder.dir());
    let mut server = server(builder, "");
    let socket = server.dir().join("app.sock");
    for _ in 0..60 {
        assert_eq!(ask(&socket, "/panic"), Some(500));
    }
    let mut text = String::new();
    eventually("the log says how much was lost", || {
        ask(&socket, "/panic");
        let mut bytes = vec![0; 64 * 1024];
        if let Ok(count) = pipe.read(&mut bytes) {
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        text.contains("the error log takes lines again")
            .then_some(())
    });
    let lines = text
        .lines()
        .filter(|line| line.contains("takes lines again"));
    let lost: Vec<&str> = lines.collect();
    assert!(
        lost.iter().all(|line| line.contains("were dropped")),
        "{lost:?}"
    );
    server.signal(Signal::SIGTERM);
    // The last lines of the processes must find room.
    eventually("it ends", || {
        let _ = pipe.read(&mut [0; 4096]);
        server.children().is_empty().then_some(())
    });
    server.wait_for_exit();
}
