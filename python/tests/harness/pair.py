"""Both servers with the same application and flags."""

import concurrent.futures
import contextlib

from .server import GUNICORN, OXICORN, Server


def both(scenario):
    """Runs a scenario for both kinds at the same time; returns the facts of gunicorn and of oxicorn."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(scenario, kind) for kind in (GUNICORN, OXICORN)]
        return tuple(run.result() for run in runs)


class Pair:
    """A gunicorn and an oxicorn that several tests share."""

    def __init__(self, app, *args, **options):
        with contextlib.ExitStack() as stack:
            self.servers = []
            for kind in (GUNICORN, OXICORN):
                server = Server(kind, app, *args, **options)
                stack.push(server)
                self.servers.append(server)
            self.stack = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return self.stack.__exit__(*failure)

    def observe(self, look):
        """The result of `look` for gunicorn and for oxicorn."""
        return tuple(look(server) for server in self.servers)
