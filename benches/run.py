"""Runs the benchmarks: `run.py [ROW,ROW…]`, all rows when none is named. `make bench` installs what it needs.

The name of a module in rows/ stands for all of its rows, unless it is a row's own.

Figures are kept in results/latest.json, where a run of some rows replaces those alone, and shown in RESULTS.md and
results/bars.svg; the slices they were made of are in results/raw.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import rows
from harness import machine
from harness.rounds import QUICK, Figure
from report.plot import svg
from report.table import markdown

BENCHES = Path(__file__).resolve().parent
RESULTS = BENCHES / "results"


def main() -> int:
    named = [name for argument in sys.argv[1:] for name in argument.replace(",", " ").split()] or list(rows.RUN)
    wanted = [row for name in named for row in ([name] if name in rows.RUN else rows.GROUPS.get(name, [name]))]
    unknown = [name for name in wanted if name not in rows.RUN]
    if unknown:
        print(f"bench: there is no row {', '.join(unknown)}; there are: {', '.join(rows.RUN)}", file=sys.stderr)
        return 2
    for name in wanted:
        started = time.monotonic()
        figures, raw = rows.RUN[name](name)
        seconds = time.monotonic() - started
        print(f"\n{name} ({seconds:.0f} s)")
        for figure in figures:
            print(f"  {said(figure)}", flush=True)
        keep(name, figures, raw, seconds)
    return 0


def said(figure: Figure) -> str:
    """One figure on one line."""
    value = figure.value
    bar = (
        f"≥ {figure.least:.4g}"
        if figure.least is not None
        else f"≤ {figure.most:.4g}"
        if figure.most is not None
        else ""
    )
    holds = {None: "", True: "ok", False: "FALLS SHORT"}[figure.holds]
    spread = f"{value.median:10.4g} [{value.low:.4g} … {value.high:.4g}] {figure.unit}"
    return f"{figure.regime:9}{figure.measure:62}{spread:44} {bar:9} {holds} {figure.note}"


def keep(name: str, figures: list[Figure], raw: dict[str, Any], seconds: float) -> None:
    """Puts one row's results in the place of its earlier ones."""
    (RESULTS / "raw").mkdir(parents=True, exist_ok=True)
    (RESULTS / "raw" / f"{name}.json").write_text(json.dumps(raw) + "\n")
    latest = RESULTS / "latest.json"
    results = json.loads(latest.read_text()) if latest.exists() else {"rows": {}}
    results["versions"] = machine.versions()
    results["rows"][name] = {
        "quick": QUICK,
        "seconds": round(seconds, 1),
        "figures": [figure.json() for figure in figures],
    }
    latest.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (BENCHES / "RESULTS.md").write_text(markdown(results))
    (RESULTS / "bars.svg").write_text(svg(results))


if __name__ == "__main__":
    sys.exit(main())
