"""PostgreSQL: one cluster, one database, TLS and plain connections, every statement counted.

Everything that makes the server safe stays on (fsync, full_page_writes), because the fault tests kill it.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from .owner import Owner
from .service import LOOPBACK, Service, address

USER = "oxicorn"
DATABASE = "oxicorn"

CONFIGURATION = """
listen_addresses = '{address}'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_preload_libraries = 'pg_stat_statements'
pg_stat_statements.track = top
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
# In files rather than in /dev/shm, where a killed server would leave them.
dynamic_shared_memory_type = mmap
timezone = 'UTC'
log_timezone = 'UTC'
"""


class Postgres(Service):
    """`up` makes the cluster with initdb. Root starts it as another user, because initdb requires that."""

    name = "postgres"
    # "Fast": ends sessions and writes the data (postgres(1)).
    stop_signal = signal.SIGINT
    # "Immediate": writes nothing, but releases shared memory.
    end_signal = signal.SIGQUIT

    def missing(self):
        needed = [name for name in ("psql", "openssl") if not shutil.which(name)]
        if not _programs():
            needed.append("PostgreSQL's server")
        if os.geteuid() == 0 and not self.owner():
            needed.append("a user postgres or nobody, because PostgreSQL refuses to run as root")
        return needed

    def owner(self):
        return Owner.unprivileged()

    def prepare(self):
        data = self.home / "data"
        self._run("initdb", "-D", data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        with open(data / "postgresql.conf", "a", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION.format(port=self.port(), address=address()))
        if address() != LOOPBACK:
            with open(data / "pg_hba.conf", "a", encoding="utf-8") as rules:
                rules.write("host all all samenet trust\n")
        self._certify(data)
        # Single-user mode: the database exists before the server first answers.
        self._run("postgres", "--single", "-D", data, "postgres", text=f"CREATE DATABASE {DATABASE}\n")
        self._run("postgres", "--single", "-D", data, DATABASE, text="CREATE EXTENSION pg_stat_statements\n")

    def spawn(self):
        # The server considers its predecessor alive until it is reaped, which never happens in a container without an init.
        if self.process():
            self.sweep()
        return self.launch([_programs() / "postgres", "-D", self.home / "data"])

    def answers(self):
        question = ["psql", "-XAtqw", self._url(connect_timeout="2"), "-c", "SELECT 1"]
        try:
            answer = subprocess.run(question, capture_output=True, text=True, timeout=5, check=False)
        except subprocess.TimeoutExpired:
            return False
        return answer.stdout.strip() == "1"

    def exports(self):
        return {
            "DATABASE_URL": self._url(),
            "DATABASE_TLS_URL": self._url(sslmode="require"),
            "DATABASE_CA_FILE": self.home / "data" / "ca.crt",
            # psql, pgbench and the like need no argument.
            "PGHOST": address(),
            "PGPORT": self.port(),
            "PGUSER": USER,
            "PGDATABASE": DATABASE,
            "POSTGRES_BIN": _programs() or "",
        }

    def sweep(self):
        """Removes the pid file of a killed server, and its System V segment, which the last field of line 7 names."""
        pid_file = self.home / "data" / "postmaster.pid"
        try:
            segment = pid_file.read_text().splitlines()[6].split()[1]
        except FileNotFoundError:
            return
        except IndexError:
            segment = ""
        if segment:
            subprocess.run(["ipcrm", "-m", segment], capture_output=True, check=False)
        pid_file.unlink()

    def _url(self, **options):
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"postgresql://{USER}@{address()}:{self.port()}/{DATABASE}" + (f"?{query}" if query else "")

    def _certify(self, data):
        """A certificate authority of our own and a server certificate for 127.0.0.1 and localhost."""
        extensions = data / "server.ext"
        extensions.write_text("basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1,DNS:localhost\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        authority = ["-CA", data / "ca.crt", "-CAkey", data / "ca.key", "-CAcreateserial"]
        own = ["-days", "30", "-subj", "/CN=oxicorn test authority", "-keyout", data / "ca.key"]
        self.run(["openssl", "req", "-x509", *key, *own, "-out", data / "ca.crt"])
        wish = ["-subj", "/CN=localhost", "-keyout", data / "server.key"]
        self.run(["openssl", "req", *key, *wish, "-out", data / "server.csr"])
        signed = ["-days", "30", "-extfile", extensions, "-in", data / "server.csr"]
        self.run(["openssl", "x509", "-req", *authority, *signed, "-out", data / "server.crt"])
        (data / "server.key").chmod(0o600)

    def _run(self, program, *words, text=""):
        self.run([_programs() / program, *words], text=text)


def _programs():
    """The folder with the programs of the newest version, or `None`."""
    candidates = []
    if found := shutil.which("postgres"):
        # Resolve a link, because initdb needs the other programs beside it.
        candidates.append(Path(found).resolve().parent)
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(installed, key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in candidates:
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    return None
