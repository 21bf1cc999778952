"""Writes tables into docs/performance.md and README.md, between markers, and charts beside the data."""

import re

from bench_lib import charts, environment, tables

PERFORMANCE, README = environment.ROOT / "docs/performance.md", environment.ROOT / "README.md"
SECTIONS = {
    "native": "the native application beside nginx",
    "static": "static files beside nginx",
    "one": "WSGI, one worker with one thread on a core of its own",
    "four": "WSGI, four workers with two threads, which share the cores with the load",
    "bodies": "bodies of requests and responses",
    "fair": "calls that wait and calls that compute, with few clients",
    "guide": "the guide's task service",
    "service": "the native task service beside the benchmarks of PostgreSQL and Redis",
}
# What the README shows.
NATIVE = ("native-hello", "native-hello-4x2")
WSGI = (
    "hello", "hello-4x2", "clients-1000-4x2", "up-100k", "up-100k-4x2", "sleep-20", "compute-20", "flask-4x2", "guide",
)
SERVICE = ("service-cached", "service-uncached", "service-post")


class Unmarked(Exception):
    """A page lacks the markers of a part."""


def replaced(page, part, text):
    """The page with `text` between the markers of `part`."""
    begin, end = f"<!-- {part}: scripts/bench writes from here -->\n", f"<!-- {part}: to here -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
    if not pattern.search(page):
        raise Unmarked(f"the markers of {part} are missing: {begin.strip()} and {end}")
    return pattern.sub(lambda _: begin + text.strip() + ("\n" if text.strip() else "") + end, page)


def write(entries, workloads):
    for path, text in pages(entries, workloads).items():
        path.write_text(text)


def pages(entries, workloads):
    """The text of each file, by its path."""
    by_name = {workload.name: workload for workload in workloads}
    performance, made = PERFORMANCE.read_text(), {}
    for section in SECTIONS:
        found = {name: entry for name, entry in entries.items() if by_name[name].section == section}
        performance = replaced(performance, section, section_text(section, found, by_name) if found else "")
        if found:
            titles = {name: by_name[name].title for name in found}
            made[PERFORMANCE.parent / f"performance/{section}.svg"] = charts.chart(found, titles)
    made[PERFORMANCE] = performance
    made[README] = replaced(README.read_text(), "figures", readme_text(entries, by_name))
    return made


def section_text(section, entries, by_name):
    parts = [f"![{SECTIONS[section]}](performance/{section}.svg)"]
    for name, entry in entries.items():
        parts.append(tables.workload(entry, by_name[name].title, by_name[name].ideal))
        parts.append(f"`{name}`: {tables.conditions(entry, by_name[name].ideal)}")
    machines = dict.fromkeys(tables.machine(entry) for entry in entries.values())
    return "\n\n".join([*parts, *(f"Measured on {machine}." for machine in machines)])


def readme_text(entries, by_name):
    parts = []
    for names, title in (
        (NATIVE, "**Native**, `native:hello` beside nginx `return 200`"),
        (WSGI, "**Python**, beside other WSGI servers with the same application"),
        (SERVICE, "**The task service**, beside the benchmarks of PostgreSQL and Redis"),
    ):
        found = {name: entries[name] for name in names if name in entries}
        if found:
            titles = {name: label(by_name[name]) for name in found}
            parts += [f"{title}:", tables.overview(found, titles)]
    machines = dict.fromkeys(tables.machine(entry) for entry in entries.values())
    return "\n\n".join([*parts, *(f"Measured on {machine}." for machine in machines)])


def label(workload):
    title = workload.title
    return title if " x " in title or workload.section not in ("one", "four") else f"{title}, {' x '.join(map(str, workload.shape))}"
