"""The Python contestants: `worker.py CONTESTANT URL OPTIONS` obeys one request a line on its standard input, answers in
lines of JSON, and ends with its input. The Rust worker's `protocol.rs` says what each request is."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import asynchronous
import bare
import blocking


def main() -> None:
    contestant, url, options = sys.argv[1:4]
    if contestant == "bare":
        bare.run(url, **json.loads(options))
    elif contestant in blocking.CONTESTANTS:
        blocking.run(blocking.CONTESTANTS[contestant](url))
    else:
        asyncio.run(asynchronous.run(asynchronous.CONTESTANTS[contestant](url)))
    os._exit(0)  # threads or tasks may still be waiting


if __name__ == "__main__":
    main()
