"""Hosts with addresses of their own, as network namespaces."""

from __future__ import annotations

import random
import subprocess
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Host:
    """A network namespace with an address of its own: to programs in it, another machine."""

    def __init__(self) -> None:
        number = uuid.uuid4().hex[:8]
        self.name = f"leaselock-{number}"
        self._link = f"ll-{number}"
        self._net = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"

    def address(self, end: int) -> str:
        """1 is where the server is, 2 where the programs are."""
        return f"{self._net}.{end}"

    def cut(self, *, off: bool) -> None:
        """Takes the cable out, or puts it in again."""
        _ip("link", "set", self._link, "down" if off else "up")

    def __enter__(self) -> Self:
        try:
            _ip("netns", "add", self.name)
            _ip("link", "add", self._link, "type", "veth", "peer", "name", "up", "netns", self.name)
            _ip("addr", "add", f"{self.address(1)}/30", "dev", self._link)
            _ip("link", "set", self._link, "up")
            _ip("-n", self.name, "addr", "add", f"{self.address(2)}/30", "dev", "up")
            _ip("-n", self.name, "link", "set", "dev", "up", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        # The pair goes with one of its ends.
        for command in (["ip", "link", "del", self._link], ["ip", "netns", "del", self.name]):
            subprocess.run(command, stderr=subprocess.DEVNULL, check=False)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def hosts_can_be_made() -> bool:
    """Whether this machine lets us make network namespaces."""
    try:
        with Host() as host:
            subprocess.run(["ip", "netns", "exec", host.name, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True
