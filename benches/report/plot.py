"""The plot: small bar charts of absolute figures, one for each row, drawn as SVG that follows a light or dark page."""

from __future__ import annotations

from html import escape
from typing import Any

from .titles import NAMES, number

WIDTH, COLUMN, GAP = 980, 470, 40
LABEL, BAR, LINE = 170, 200, 30
TOP = 64

# Row, heading, unit, and whether less is better.
PANELS = [
    ("rust_sync", "Rust, blocking, one thread", "pairs/s", False),
    ("rust_async", "Rust, async, 64 in flight", "pairs/s", False),
    ("python_sync", "Python, one thread", "pairs/s", False),
    ("python_async", "asyncio, 64 in flight", "pairs/s", False),
    ("node_1", "Node, 1 in flight", "pairs/s", False),
    ("node", "Node, 64 in flight", "pairs/s", False),
    ("handovers_python", "Python, 50 waiters on one name", "turns/s", False),
    ("handovers_node", "Node, 50 waiters on one name", "turns/s", False),
    ("handover", "One waiter: release to return", "µs", True),
    ("handovers_rust", "Rust, 50 waiters on one name", "turns/s", False),
    ("cluster_peers", "On a cluster, 1 in flight", "pairs/s", False),
    ("cluster_peers_handover", "On a cluster: release to return", "µs", True),
    ("file_pairs", "Without a server, 1 in flight", "pairs/s", False),
    ("file_handover", "Without a server: release to return", "µs", True),
]

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 } .head { font-weight: 600; font-size: 13px }
.small { font-size: 11px; fill: #57606a }
.ours .apart { fill: #0a5bd3 } .ours .together { fill: #79aef5 } .ours .name { font-weight: 600 }
.peer .apart { fill: #6e7781 } .peer .together { fill: #b6bec7 }
.bare .apart, .bare .together { fill: none; stroke: #8c959f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .ours .apart { fill: #4493f8 } .ours .together { fill: #1f6feb99 }
  .peer .apart { fill: #9198a1 } .peer .together { fill: #656c76 }
}
"""


def svg(results: dict[str, Any]) -> str:
    """The whole picture."""
    rows = results["rows"]
    panels = [panel for panel in PANELS if panel[0] in rows]
    parts = []
    y = TOP
    for at in range(0, len(panels), 2):
        drawn = [
            _panel(rows[panel[0]]["figures"], panel, side * (COLUMN + GAP), y)
            for side, panel in enumerate(panels[at : at + 2])
        ]
        parts += [part for part, _ in drawn]
        y += max(height for _, height in drawn) + 26
    versions = results["versions"]
    machine = f"{versions['cores']} cores, Linux {versions['kernel']}, Redis {versions['Redis']}, on loopback"
    legend = "Upper bar: on two cores, client and server apart. Lower bar: together on one. "
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" role="img">',
            "<title>leaselock beside its peers</title>",
            f"<style>{STYLE}</style>",
            '<text class="title" x="0" y="20">leaselock beside its peers</text>',
            f'<text class="small" x="0" y="40">{escape(legend + machine)}</text>',
            *parts,
            "</svg>\n",
        ]
    )


def _panel(figures: list[dict[str, Any]], panel: tuple[str, str, str, bool], x: int, y: int) -> tuple[str, int]:
    _, heading, unit, less = panel
    found: dict[str, dict[str, float]] = {}
    for figure in figures:
        if figure["unit"] == unit:
            found.setdefault(figure["measure"], {})[figure["regime"]] = figure["value"]["median"]
    longest = max(value for regimes in found.values() for value in regimes.values())
    better = "less is better" if less else "more is better"
    more = f'<tspan class="small" dx="8">{unit}, {better}</tspan>'
    parts = [f'<text class="head" x="{x}" y="{y + 12}">{escape(heading)}{more}</text>']
    line = y + 22
    for measure, regimes in found.items():
        kind = "bare" if measure.startswith("bare") else "ours" if _ours(measure) else "peer"
        label = NAMES.get(measure, measure)
        parts.append(f'<g class="{kind}">')
        parts.append(f'<text class="name" x="{x + LABEL - 8}" y="{line + 16}" text-anchor="end">{escape(label)}</text>')
        for number_of, regime in enumerate(("apart", "together")):
            value = regimes.get(regime, 0.0)
            top = line + 1 + number_of * 12
            width = max(1.0, value / longest * BAR)
            parts.append(f'<rect class="{regime}" x="{x + LABEL}" y="{top}" width="{width:.1f}" height="10" rx="1.5"/>')
            parts.append(f'<text class="small" x="{x + LABEL + width + 6:.1f}" y="{top + 9}">{number(value)}</text>')
        parts.append("</g>")
        line += LINE
    return "\n".join(parts), line - y


def _ours(measure: str) -> bool:
    return measure.startswith("leaselock") or measure.split(", ", 1)[0] in {
        "Rust",
        "Rust blocking",
        "Python",
        "asyncio",
        "Node",
    }
