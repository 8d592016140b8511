"""The limit: a plain socket that sends exactly the bytes that leaselock sends, and reads as many as are answered."""

from __future__ import annotations

import socket
from time import perf_counter
from urllib.parse import urlsplit

import protocol


def run(url: str, pair: list[dict[str, str | int]]) -> None:
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname or "", address.port or 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    exchanges = [(str(one["send"]).encode(), int(one["reply"])) for one in pair]
    protocol.answer(ready=True)
    for request in protocol.requests():
        measured = protocol.Slice(request["seconds"])
        ops = 0
        end = measured.end
        while perf_counter() < end:
            for data, length in exchanges:
                connection.sendall(data)
                left = length - len(connection.recv(4096))
                while left > 0:
                    left -= len(connection.recv(4096)) or 1 << 30
            ops += 1
        measured.answer(ops)
