"""wrk: as many requests as a number of connections can carry, from one thread, pinned to a processor on request."""

import os
import shutil
import subprocess
import sys
import tempfile

# `done` runs once, after the load, and so costs no request anything.
DONE = """
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("\\nRESULT %d %d %d %d %d %d\\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


def find(program):
    path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        sys.exit(f"{program} is missing: scripts/install-deps bench")
    return path


class Wrk:
    def __init__(self, connections=64, path="/", body=0, fields=None, script="", cpu=None, threads=1):
        """`body` is the number of octets in each request; `script` is Lua that runs first."""
        self.connections, self.path, self.cpu, self.threads = connections, path, cpu, threads
        lines = [script, *(f'wrk.headers["{name}"] = "{value}"' for name, value in (fields or {}).items())]
        if body:
            lines += ['wrk.method = "POST"', f'wrk.body = string.rep("x", {body})']
        self.script = "\n".join([*lines, DONE])

    def run(self, port, seconds):
        """Rate, latencies in milliseconds, and the number of requests without an answer or with an error."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(self.script)
            script.flush()
            command = [
                find("wrk"), f"-t{self.threads}", f"-c{self.connections}", f"-d{seconds}s", "-s", script.name,
                f"http://127.0.0.1:{port}{self.path}",
            ]
            if self.cpu is not None:
                command = [find("taskset"), "-c", str(self.cpu), *command]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in out.splitlines() if line.startswith("RESULT"))
        requests, duration, broken, p50, p99, p999 = map(int, line.split()[1:])
        return {
            "requests": requests, "rate": requests * 1e6 / duration, "p50": p50 / 1e3, "p99": p99 / 1e3,
            "p999": p999 / 1e3, "broken": broken,
        }
