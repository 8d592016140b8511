"""Counts what happens to locks, for Prometheus. The port is the argument."""

import sys
import time

from prometheus_client import start_http_server

from leaselock import Client, prometheus

prometheus.instrument()  # once in a process, for all of its clients
start_http_server(int(sys.argv[1]), "127.0.0.1")

with Client("memory:shop", app_id="shop") as client:
    while True:
        with client.lock("order:42", ttl=30):
            time.sleep(0.1)
