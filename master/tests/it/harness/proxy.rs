//! Real proxies in front of a server under test: HAProxy and nginx.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{Client, eventually};

/// A proxy with a configuration by the test.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

impl Proxy {
    /// Starts `program` with `config`, in which `PORT` and `DIR` stand for its port and directory.
    fn start(program: &str, arguments: &[&str], config: &str) -> Self {
        let directory = TempDir::with_prefix("oxicorn-proxy-").expect("a temporary directory");
        let place = directory.path().display().to_string();
        let address = free_address();
        let config = config
            .replace("PORT", &address.port().to_string())
            .replace("DIR", &place);
        let file = directory.path().join("proxy.conf");
        fs::write(&file, config).expect("written");
        let child = Command::new(program)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: scripts/install-deps test"));
        let proxy = Self {
            child,
            address,
            directory,
        };
        eventually("the proxy listens", || Client::connect(address).ok());
        proxy
    }

    pub(crate) fn haproxy(config: &str) -> Self {
        let timeouts = "timeout client 20s\n timeout server 20s\n timeout connect 5s\n";
        let config = format!("defaults\n {timeouts}{config}");
        Self::start("/usr/sbin/haproxy", &["-db", "-q", "-f"], &config)
    }

    pub(crate) fn nginx(config: &str) -> Self {
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|it| format!("{it}_temp_path DIR/{it};\n"));
        let config = format!(
            "daemon off; master_process off; pid DIR/pid; error_log stderr crit;\n\
             events {{}}\nhttp {{ access_log off; {} {config} }}",
            paths.concat()
        );
        Self::start("/usr/sbin/nginx", &["-c"], &config)
    }

    /// The directory that `DIR` stands for.
    pub(crate) fn dir(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address).expect("the proxy listens")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.local_addr().expect("an address")
}
