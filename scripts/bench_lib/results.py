"""The data: docs/performance/results.json. A run stores each workload as soon as it is measured, and keeps the others."""

import json
import statistics

from bench_lib import environment

# The calls without a server, as a name among those of the servers.
BARE = "bare"
PATH = environment.ROOT / "docs/performance/results.json"


def load(path=PATH):
    return json.loads(path.read_text()) if path.exists() else {}


def record(workload, measured, options):
    """The entry of a workload."""
    servers = {name: figures for name, figures in measured.items() if name != BARE}
    bare = {BARE: measured[BARE]["rate"]} if BARE in measured else {}
    return {
        "date": environment.today(),
        "commit": environment.commit(),
        "machine": environment.machine(),
        "versions": workload.versions(servers),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "left_out": workload.left_out,
        "servers": servers,
        **bare,
    }


def merge(entries, known, path=PATH):
    """Adds the entries to the file, in the order of `known`, and drops those that are no workload any more."""
    merged = {**load(path), **entries}
    path.parent.mkdir(exist_ok=True)
    # An interruption leaves the file as it was.
    new = path.with_suffix(".new")
    new.write_text(json.dumps({name: merged[name] for name in known if name in merged}, indent=1) + "\n")
    new.replace(path)
    return load(path)


class Figure:
    """The values of the rounds: median, least and most."""

    def __init__(self, values):
        self.median, self.least, self.most = statistics.median(values), min(values), max(values)


def bare(entry):
    """The rate of the calls without a server; `None` if that was not measured."""
    return Figure(entry[BARE]) if entry.get(BARE) else None


def figure(entry, server, key):
    """`None` if that was not measured."""
    values = entry["servers"].get(server, {}).get(key)
    return Figure(values) if values else None
