"""Several servers under the same load, in turns, so that all of them have the machine's good and bad moments."""

import statistics
import sys

from bench_lib.wrk import wrk

KEYS = ["req/s", "p50 us", "p99 us", "CPU us/request", "PSS MiB"]


def measure(tree, options):
    before = tree.cpu_seconds()
    figures = wrk(
        f"http://127.0.0.1:{tree.port}/", 1, options.connections, options.seconds, options.load_cpu
    )
    spent = tree.cpu_seconds() - before
    figures["CPU us/request"] = spent * 1e6 / max(figures["requests"], 1)
    figures["PSS MiB"] = tree.pss_mib()
    return figures


def rounds_of(servers, options):
    """name -> the figures of its rounds; whatever happens, every server is stopped."""
    rounds = {name: [] for name in servers}
    try:
        for tree in servers.values():
            wrk(f"http://127.0.0.1:{tree.port}/", 1, options.connections, 1, options.load_cpu)
        for number in range(options.rounds):
            # Whoever goes first may have the cooler processor: they take turns.
            order = list(servers) if number % 2 == 0 else list(reversed(servers))
            for name in order:
                figures = measure(servers[name], options)
                rounds[name].append(figures)
                print(f"round {number + 1} {name:8}", describe(figures), flush=True)
    finally:
        for tree in servers.values():
            tree.stop()
    return rounds


def describe(figures):
    shown = {key: round(value, 1) for key, value in figures.items() if isinstance(value, float)}
    return f"{shown} {figures['errors']}"


def report(rounds, ours="oxicorn"):
    """Medians, and ours as a multiple of each peer's."""
    median = {
        name: {key: statistics.median(figures[key] for figures in rounds[name]) for key in KEYS}
        for name in rounds
    }
    peers = [name for name in rounds if name != ours]
    print(f"\n{'median':16}" + "".join(f"{name:>12}" for name in (*peers, ours))
          + "".join(f"{'/ ' + name:>12}" for name in peers))
    for key in KEYS:
        own = median[ours][key]
        print(f"{key:16}" + "".join(f"{median[name][key]:12.1f}" for name in (*peers, ours))
              + "".join(f"{own / median[name][key]:12.2f}" for name in peers))
    broken = [figures["errors"] for figures in rounds[ours] if figures["errors"]]
    if broken:
        sys.exit(f"{ours} failed requests: {broken}")
