"""What each row is called where it is shown, and in which order."""

from __future__ import annotations

TITLES = {
    "rust_sync": "Rust, blocking: acquire and release, one thread",
    "rust_tls": "Rust, blocking, over TLS: acquire and release, one thread",
    "rust_async_1": "Rust, async: 1 in flight",
    "rust_async": "Rust, async: 64 in flight on distinct names",
    "python_sync": "Python: acquire and release, one thread",
    "python_tls": "Python, over TLS: acquire and release, one thread",
    "python_async_1": "asyncio: 1 in flight",
    "python_async": "asyncio: 64 in flight on distinct names",
    "observers": "Python: acquire and release, while somebody observes",
    "observers_node": "Node: acquire and release, while somebody observes",
    "node_1": "Node: 1 in flight",
    "node": "Node: 64 in flight on distinct names",
    "server_cpu": "The server's CPU for one uncontended pair, pipelined",
    "handover": "Hand-over with one waiter, in two processes: from the call of release to the waiter's return",
    "handover_late": "The same after a wait of 1.2 s",
    "handovers_rust": "Rust: 50 waiters in two processes, 4 turns each on one name",
    "handovers_python": "Python: 50 waiters in two processes, 4 turns each on one name",
    "handovers_node": "Node: 50 waiters in two processes, 4 turns each on one name",
    "readers": "64 in flight on one name, in two processes: readers, and one at a time",
    "permits": "50 waiters for 8 permits, in two processes",
    "permits_work": "The same, with 5 ms of work in each turn",
    "permits_order": "Order of service, 8 permits",
    "read_write": "50 in two processes on one name, one turn in ten a writer's",
    "several_names": "Node: three free names, all or none",
    "many_readers": "Node: one reader more beside many",
    "commands": "Commands from clients for one hand-over",
    "idle_1000": "Commands while nothing happens: many waiters in few processes",
    "idle_200": "Commands while nothing happens: one waiter in each process",
    "renewals_10k": "10,000 renewed leases in one process",
    "renewals_100k": "100,000 renewed leases in one process",
    "order": "Order of service",
    "killed": "kill -9 of the holder with 20 waiting in other processes",
    "sentinel": "A Sentinel beside one server: acquire and release (Rust: 64 in flight, the others 1)",
    "sentinel_handover": "A Sentinel beside one server: hand-over with one waiter, in two processes",
    "cluster": "A cluster beside one server: acquire and release (Rust: 64 in flight, the others 1)",
    "cluster_handover": "A cluster beside one server: hand-over with one waiter, in two processes",
    "cluster_peers": "On a cluster, beside others: acquire and release, 1 in flight",
    "cluster_peers_handover": "On a cluster, beside others: hand-over with one waiter, in two processes",
    "replicas": "With a replica that confirms: acquire and release (Rust: 64 in flight, the others 1)",
    "replicas_handover": "With a replica that confirms: hand-over with one waiter, in two processes",
    "file_pairs": "Without a server: acquire and release, 1 in flight",
    "file_handover": "Without a server: hand-over with one waiter, in two processes",
    "file_idle": "Without a server: a process in which one waits while nothing happens",
    "file_service": "Without a server: what each gives, TTL 2 s",
    "core": "The core by itself, by criterion: one pair, 64 pairs at once, one hand-over",
}

NAMES = {
    "bare": "bare socket, same bytes",
    "leaselock-blocking": "leaselock, blocking",
    "leaselock-asyncio": "leaselock, asyncio",
    "leaselock-multi": "leaselock, two workers",
    "redis-py-asyncio": "redis-py, asyncio",
    "rslock-multi": "rslock, two workers",
    "sesamecare": "@sesamecare-oss/redlock",
}


def shown(measure: str) -> str:
    """A measure as people read it."""
    *words, rest = measure.split(", ", 1) if measure.startswith("client CPU") else (measure,)
    return ", ".join([*words, " × ".join(NAMES.get(part, part) for part in rest.split(" × "))])


def number(value: float) -> str:
    """Three or four digits that matter."""
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
