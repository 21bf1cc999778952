//! pgbouncer in front of the PostgreSQL of a test. It gives each transaction another session.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{Database, Services, eventually};

#[derive(Debug)]
pub(crate) struct Bouncer {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Bouncer {
    /// With `mode` as pgbouncer's `pool_mode`.
    pub(crate) fn start(services: &Services, mode: &str) -> Self {
        let folder = TempDir::with_prefix("oxicorn-bouncer-").expect("a temporary directory");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=oxicorn\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = {mode}\ndefault_pool_size = 16\nmax_client_conn = 200\n\
             server_login_retry = 1\n",
            services.variable("PGPORT")
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).expect("a file");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if nix::unistd::geteuid().is_root() {
            // It refuses to run as root.
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
            let open = fs::Permissions::from_mode(0o755);
            fs::set_permissions(folder.path(), open).expect("a folder");
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let child = command
            .args(["--", "pgbouncer", "--quiet"])
            .arg(&file)
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("setpriv can be run");
        eventually("pgbouncer listens", || {
            std::net::TcpStream::connect(("127.0.0.1", port))
                .ok()
                .map(drop)
        });
        Self {
            folder,
            port,
            child,
        }
    }

    /// The URL of a database through it.
    pub(crate) fn url(&self, database: &Database) -> String {
        assert!(self.folder.path().exists());
        format!(
            "postgres://oxicorn@127.0.0.1:{}/{}",
            self.port,
            database.name()
        )
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
