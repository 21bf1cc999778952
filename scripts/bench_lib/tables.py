"""Markdown tables from the data."""

from bench_lib.results import bare, figure

# Key and heading. A table has only the columns that its workload measures.
COLUMNS = (
    ("p50", "p50 ms"), ("p99", "p99 ms"), ("p999", "p99.9 ms"), ("cpu", "CPU us"), ("memory", "PSS MiB"),
    ("fewest", "worst / mean"), ("new p50", "new p50 ms"), ("new slowest", "new slowest ms"),
)
OURS = "oxicorn"
NAMES = {"uwsgi": "uWSGI", "native": "native service"}


def number(value):
    """Three significant digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(found):
    """The median of the rounds, with their range."""
    if number(found.least) == number(found.most):
        return number(found.median)
    return f"{number(found.median)} ({number(found.least)}-{number(found.most)})"


def servers(entry):
    """Ours first, then the peers by their rate."""
    return sorted(entry["servers"], key=lambda name: (name != OURS, -figure(entry, name, "rate").median))


def shown(name, entry):
    version = entry["versions"].get(name)
    return NAMES.get(name, name) + (f" {version}" if version else "")


def row(cells):
    return "| " + " | ".join(cells) + " |"


def workload(entry, title, ideal=None):
    """A table with one line per server."""
    keys = [(key, heading) for key, heading in COLUMNS if any(figure(entry, name, key) for name in entry["servers"])]
    broken = any(figure(entry, name, "broken").most for name in entry["servers"])
    ideals = {"of ideal": ideal} if ideal else {}
    if ideal and (found := bare(entry)):
        ideals["of bare calls"] = found.median
    heading = [title, "req/s", "oxicorn / peer", *ideals, *(text for _, text in keys)]
    heading += ["failed"] if broken else []
    lines = [row(heading), "|" + "---|" * len(heading)]
    ours = figure(entry, OURS, "rate")
    for name in servers(entry):
        rate = figure(entry, name, "rate")
        cells = [shown(name, entry), spread(rate)]
        cells.append("" if name == OURS or not rate.median else f"{ours.median / rate.median:.2f} x")
        cells += [f"{rate.median / most:.2f}" for most in ideals.values()]
        for key, _ in keys:
            found = figure(entry, name, key)
            wanted = spread if key in ("p99", "cpu") else lambda found: number(found.median)
            cells.append(wanted(found) if found else "")
        if broken:
            cells.append(f"{sum(entry['servers'][name]['broken']):,.0f}")
        lines.append(row(cells))
    return "\n".join(lines)


def conditions(entry, ideal=None):
    """When and how a table was measured, in one line."""
    text = f"{entry['date']}, commit {entry['commit']}, {entry['rounds']} rounds of {entry['seconds']} s"
    left_out = {}
    for name, why in entry["left_out"].items():
        left_out.setdefault(why, []).append(NAMES.get(name, name))
    parts = [f"{' and '.join(names)} ({why})" for why, names in left_out.items()]
    text += f"; without {'; '.join(parts)}" if parts else ""
    if ideal:
        found = bare(entry)
        text += f". Ideal: {number(ideal)} req/s" + (f"; bare calls: {spread(found)}" if found else "")
    return text + "."


def machine(entry):
    found = entry["machine"]
    virtual = ", virtual" if found["virtual"] else ""
    return f"{found['cores']} cores of {found['processor']}{virtual}, {found['memory']} of memory, Linux {found['kernel']}"


def overview(entries, titles):
    """A line per workload: our figures, and their ratio to those of each peer."""
    peers = []
    for entry in entries.values():
        peers += [name for name in servers(entry) if name != OURS and name not in peers]
    order = [name for name in ("gunicorn", "granian", "bjoern", "fastwsgi", "uwsgi", "waitress") if name in peers]
    order += [name for name in peers if name not in order]
    heading = ["", "req/s", "p99 ms", *(NAMES.get(name, name) for name in order)]
    lines = [row(heading), "|" + "---|" * len(heading)]
    for key, entry in entries.items():
        ours, wait = figure(entry, OURS, "rate"), figure(entry, OURS, "p99")
        cells = [titles[key], number(ours.median), number(wait.median)]
        for name in order:
            rate, theirs = figure(entry, name, "rate"), figure(entry, name, "p99")
            cells.append(f"{ratio(ours, rate)} ({ratio(wait, theirs)})" if rate else "")
        lines.append(row(cells))
    return "\n".join(lines)


def ratio(ours, theirs):
    if not theirs.median:
        return "-"
    value = ours.median / theirs.median
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"
