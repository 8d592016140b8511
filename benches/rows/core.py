"""The core by itself, measured by criterion, for regressions: `core/benches`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from harness.machine import ROOT
from harness.rounds import QUICK, Figure, Spread

NAMES = ["core"]

TARGET = ROOT / "benches/target"


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    command = ["cargo", "bench", "--quiet", "--locked", "-p", "leaselock", "--bench", "pairs", "--", "--noplot"]
    if QUICK:
        command += ["--warm-up-time", "0.5", "--measurement-time", "1"]
    # Its own remarks, such as a change since the last run, are for whoever looks.
    subprocess.run(command, cwd=ROOT, env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)}, check=True)
    figures = []
    raw = {}
    for path in sorted((TARGET / "criterion").rglob("new/estimates.json")):
        estimates = json.loads(path.read_text())
        about = json.loads(path.with_name("benchmark.json").read_text())
        # With a slope where the number of iterations grew, else the mean; both are nanoseconds.
        estimate = estimates["slope"] or estimates["mean"]
        interval = estimate["confidence_interval"]
        low, high = interval["lower_bound"] / 1000, interval["upper_bound"] / 1000
        value = Spread(estimate["point_estimate"] / 1000, low, high, 1)
        figures.append(Figure("core", about["title"], "", "µs", value, note="with its confidence interval"))
        raw[about["title"]] = estimates
    return figures, raw
