"""The data: docs/performance/results.json. A run puts its workloads into it and leaves the others as they are."""

import json
import statistics

from bench_lib import environment

PATH = environment.ROOT / "docs/performance/results.json"


def load(path=PATH):
    return json.loads(path.read_text()) if path.exists() else {}


def record(workload, measured, options):
    """A workload's entry."""
    return {
        "date": environment.today(),
        "commit": environment.commit(),
        "machine": environment.machine(),
        "versions": workload.versions(measured),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "left_out": workload.left_out,
        "servers": measured,
    }


def merge(entries, known, path=PATH):
    """Writes the entries beside those that are there, in the order of `known`; what is no workload any more goes."""
    merged = {**load(path), **entries}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({name: merged[name] for name in known if name in merged}, indent=1) + "\n")
    return load(path)


class Figure:
    """The values of the rounds: their median, least and most."""

    def __init__(self, values):
        self.median, self.least, self.most = statistics.median(values), min(values), max(values)


def figure(entry, server, key):
    """`None` where that was not measured."""
    values = entry["servers"].get(server, {}).get(key)
    return Figure(values) if values else None
