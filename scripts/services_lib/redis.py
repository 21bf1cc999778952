"""Redis as a cache: no password, enough databases for one per test, and no disk by default."""

import os
import shutil
import socket

from .service import LOOPBACK, Service, address

DATABASES = 4096

class Redis(Service):
    """redis-server. OXICORN_REDIS_SAVE enables snapshots from the next start on, like `save` of redis.conf."""

    name = "redis"

    def missing(self):
        return [name for name in ("redis-server", "redis-cli") if not shutil.which(name)]

    def spawn(self):
        settings = {
            "bind": address(),
            "protected-mode": "yes" if address() == LOOPBACK else "no",
            "port": self.port(),
            "dir": self.home,
            "databases": DATABASES,
            # A proper stop writes a snapshot only if snapshots are enabled.
            "save": os.environ.get("OXICORN_REDIS_SAVE", ""),
            "appendonly": "no",
            "daemonize": "no",
        }
        return self.launch(["redis-server", *(word for key, value in settings.items() for word in (f"--{key}", value))])

    def answers(self):
        try:
            with socket.create_connection((address(), self.port()), timeout=2) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def exports(self):
        return {"REDIS_URL": f"redis://{address()}:{self.port()}/0"}
