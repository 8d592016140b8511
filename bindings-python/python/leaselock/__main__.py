"""The command `leaselock`, also as `python -m leaselock`."""

import signal
import sys
from typing import NoReturn

from leaselock._native import cli


def main() -> NoReturn:
    """Runs the command line, and ends the process with its exit status."""
    # What a command started by `leaselock run` inherits is what this process found, not what Python made of it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGXFSZ"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.exit(cli(["leaselock", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
