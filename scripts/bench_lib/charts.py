"""SVG charts from the data: one bar per server and workload, with a thin line for the range of its rounds."""

from xml.sax.saxutils import escape

from bench_lib import tables
from bench_lib.results import figure

WIDTH, NAME, GAP, BAR, ROW, VALUE = 900, 150, 24, 12, 18, 64
PANEL = (WIDTH - NAME - GAP) // 2
OURS, THEIRS, INK, FAINT, PAPER = "#c2410c", "#8a94a3", "#1f2430", "#5b6472", "#ffffff"
PANELS = (("rate", "requests per second"), ("p99", "p99, ms (shorter is better)"))


def chart(entries, titles):
    """One picture per section."""
    parts, y = [], 8
    for name, entry in entries.items():
        parts.append(text(0, y + 14, titles[name], INK, 13, "bold"))
        for index, (_, title) in enumerate(PANELS):
            parts.append(text(left(index), y + 14, title, FAINT, 11))
        y += 22
        found = tables.servers(entry)
        most = {key: max((value.most for server in found if (value := figure(entry, server, key))), default=0) for key, _ in PANELS}
        for server in found:
            colour = OURS if server == tables.OURS else THEIRS
            parts.append(text(8, y + BAR - 1, tables.NAMES.get(server, server), INK, 12))
            for index, (key, _) in enumerate(PANELS):
                if value := figure(entry, server, key):
                    parts += bar(left(index), y, value, most[key] or 1, colour)
            y += ROW
        y += 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" '
        f'font-family="system-ui, sans-serif" role="img">\n<rect width="{WIDTH}" height="{y}" fill="{PAPER}"/>\n'
        + "\n".join(parts) + "\n</svg>\n"
    )


def left(panel):
    return NAME + panel * (PANEL + GAP)


def bar(x, y, value, most, colour):
    scale = (PANEL - VALUE) / most
    length, least, end = value.median * scale, value.least * scale, value.most * scale
    middle = y + BAR / 2
    return [
        f'<rect x="{x}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" fill="{colour}" rx="2"/>',
        f'<path d="M{x + least:.1f} {middle}H{x + end:.1f}M{x + least:.1f} {y + 2}v{BAR - 4}M{x + end:.1f} {y + 2}v{BAR - 4}" '
        f'stroke="{INK}" stroke-width="1" fill="none"/>',
        text(x + max(length, end) + 5, y + BAR - 1, tables.number(value.median), INK, 11),
    ]


def text(x, y, words, colour, size, weight="normal"):
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(words)}</text>'
