"""The server's CPU for one uncontended pair, pipelined, beside `SET NX PX` and a compare-and-delete script."""

from __future__ import annotations

import os
import socket
from typing import Any

from harness import capture
from harness.machine import REGIMES, pin
from harness.rounds import QUICK, ROUNDS, Figure, Spread, interleave, ratio
from harness.server import Server

NAMES = ["server_cpu"]

PIPELINED = 100
PIPELINES = 20 if QUICK else 100

COMPARE_AND_DELETE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


def packed(*words: str) -> str:
    return f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)


def run(_name: str) -> tuple[list[Figure], dict[str, Any]]:
    figures = []
    raw = {}
    with Server() as server:
        ours = capture.pair(server)
        sha = str(server.command("SCRIPT", "LOAD", COMPARE_AND_DELETE))
        # An owner as long as ours.
        owner = "0123456789abcdef" * 2
        plain = packed("SET", "lock||bench-00", owner, "NX", "PX", "30000")
        plain += packed("EVALSHA", sha, "1", "lock||bench-00", owner)
        pairs = {
            "leaselock": ("".join(one["send"] for one in ours), sum(one["reply"] for one in ours)),
            "SET NX PX + compare-and-delete": (plain, len("+OK\r\n:1\r\n")),
        }
        connection = socket.create_connection(("127.0.0.1", server.port))
        for regime, (client_cores, server_cores) in REGIMES.items():
            server.pin(server_cores)
            pin(os.getpid(), client_cores)

            def measure(contestant: str) -> dict[str, float]:
                return _slice(server, connection, *pairs[contestant])

            slices = interleave(list(pairs), measure, ROUNDS * 2)
            raw[regime] = slices
            for contestant in pairs:
                value = Spread.of(one["server"] * 1e6 for one in slices[contestant])
                inside = Spread.of(one["inside"] for one in slices[contestant]).median
                note = f"commandstats: {inside:.2f} µs"
                figures.append(Figure("server_cpu", contestant, regime, "µs a pair", value, note=note))
            columns = {key: [[one[key] for one in slices[name]] for name in pairs] for key in ("server", "inside")}
            for key, measure_name in (("server", "server CPU a pair"), ("inside", "the same by commandstats")):
                bars: dict[str, Any] = {"most": 1.6, "aim": 1.4} if key == "server" else {}
                measured = ratio(*columns[key])
                figures.append(Figure("server_cpu", f"{measure_name} × SET NX PX", regime, "×", measured, **bars))
        pin(os.getpid(), sorted({core for cores in REGIMES.values() for each in cores for core in each}))
        connection.close()
    return figures, raw


def _slice(server: Server, connection: socket.socket, pair: str, reply: int) -> dict[str, float]:
    data = pair.encode() * PIPELINED
    commands = ("multi", "exec", "evalsha") if "MULTI" in pair else ("set", "evalsha")
    inside, spent = server.microseconds(*commands), server.cpu()
    for _ in range(PIPELINES):
        connection.sendall(data)
        left = reply * PIPELINED
        while left > 0:
            received = connection.recv(1 << 20)
            if b"-" in received:
                raise RuntimeError(f"the server answered with an error: {received[:200]!r}")
            left -= len(received) or 1 << 40
    count = PIPELINES * PIPELINED
    return {
        "server": (server.cpu() - spent) / count,
        "inside": (server.microseconds(*commands) - inside) / count,
    }
