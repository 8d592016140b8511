"""The Python contestants: `worker.py CONTESTANT URL OPTIONS` obeys one request a line on its standard input, answers in
lines of JSON, and ends with its input. The Rust worker's `protocol.rs` says what each request is."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import asynchronous
import bare
import bare_handover
import blocking
import files

BLOCKING = {**blocking.CONTESTANTS, **files.BLOCKING, "bare-handover": bare_handover.BareHandOver}
ASYNCHRONOUS = {
    **asynchronous.CONTESTANTS,
    **files.ASYNCHRONOUS,
    "bare-handover-asyncio": bare_handover.AsyncBareHandOver,
}


def main() -> None:
    contestant, url = sys.argv[1:3]
    options = json.loads(sys.argv[3])
    if contestant == "bare":
        bare.run(url, **options)
    elif contestant in BLOCKING:
        blocking.run(BLOCKING[contestant](url, **options))
    else:
        asyncio.run(asynchronous.run(ASYNCHRONOUS[contestant](url, **options)))
    os._exit(0)  # threads or tasks may still be waiting


if __name__ == "__main__":
    main()
