"""Many renewed leases in one process: lost, what they cost the client and the server, and memory for each."""

from __future__ import annotations

import time
from typing import Any

from harness.rounds import QUICK, Figure, Spread
from harness.server import Server
from harness.workers import Worker

NAMES = ["renewals_10k", "renewals_100k"]

TTL_MS = 10_000
SECONDS = 12 if QUICK else 60


def run(name: str) -> tuple[list[Figure], dict[str, Any]]:
    count = int(name.removeprefix("renewals_").removesuffix("k")) * 1000
    with Server() as server, Worker("rust", "leaselock", server.url) as worker:
        spent, empty = server.cpu(), server.memory()
        worker.send({"do": "renewals", "count": count, "ttl": TTL_MS, "seconds": SECONDS})
        # By then each was renewed, and so is watched.
        time.sleep(SECONDS * 0.8)
        full = server.memory()
        measured = worker.read()
        spent = server.cpu() - spent
    barred = count == 10_000
    shown = f"{count:,} leases, TTL {TTL_MS // 1000} s, {SECONDS} s"
    turned = measured["renewals"] / count
    rows = [
        ("lost", measured["lost"], "leases", 0 if barred else None, f"each renewed {turned:.1f} times"),
        ("CPU of the client", measured["share"] * 100, "% of a core", 3 if barred else None, ""),
        ("memory", measured["bytes"], "bytes a lease", 1024 if barred else None, "when all are held"),
        ("memory after renewals", measured["peak_bytes"], "bytes a lease", 1024 if barred else None, ""),
        ("CPU of the server", spent / measured["renewals"] * 1e6, "µs a renewal", None, ""),
        ("memory of the server", (full - empty) / count, "bytes a lease", None, "what it watches included"),
    ]
    figures = [
        Figure(name, f"{measure}, {shown}", "", unit, Spread(value, value, value, 1), most=most, note=note)
        for measure, value, unit, most, note in rows
    ]
    return figures, {**measured, "server_cpu": spent}
