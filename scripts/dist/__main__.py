"""Builds the artefacts of a release into dist/, and tries them: `make dist` and `make dist-test` run this.

    python scripts/dist build [PART...] [--target TRIPLE...]
    python scripts/dist test [PART...] [--runtime REGEX] [--all-here]
    python scripts/dist check [--target TRIPLE...]
    python scripts/dist publish crates|npm

Without a part it is all of them. Without a target what this system can build is built.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import checking
import crates
import npm
import publish
import sbom
import tarball
import wheels
from gates import gates
from report import Report
from stores import server_url
from targets import NAMES, here
from toolchain import DIST, say
from try_bundlers import try_bundlers
from try_crates import try_crates
from try_npm import try_npm
from try_sdist import try_sdist
from try_tarballs import try_tarballs
from try_wheels import try_wheels

if TYPE_CHECKING:
    from collections.abc import Callable

    from targets import Target

BUILD: dict[str, Callable[[list[Target]], None]] = {
    "wheel": wheels.build_wheels,
    "sdist": wheels.build_sdist,
    "crates": crates.build_crates,
    "cli": tarball.build_tarballs,
    "npm": npm.build_npm,
    "sbom": sbom.build_sboms,
}
# Each adds rows to the report; it is told where a server is, and the regular expression for the runtimes to try.
TEST: dict[str, Callable[[Report, str, str], None]] = {
    "wheel": try_wheels,
    "sdist": try_sdist,
    "crates": try_crates,
    "cli": try_tarballs,
    "npm": try_npm,
    "bundlers": try_bundlers,
    "gates": gates,
}
PUBLISH: dict[str, Callable[[], None]] = {
    "crates": publish.publish_crates,
    "npm": publish.publish_npm,
}


def build(parts: list[str], targets: list[Target]) -> None:
    """Builds parts of a release, and says what is in dist/ then."""
    DIST.mkdir(exist_ok=True)
    for part in parts:
        BUILD[part](targets)
    say("in dist/ now:")
    for path in sorted(DIST.iterdir()):
        say(f"  {path.stat().st_size / 1e6:6.2f} MB  {path.name}")


def test(parts: list[str], runtime: str, *, all_here: bool) -> bool:
    """Tries parts of a release, and shows what came of it."""
    report = Report()
    with server_url() as server:
        for part in parts:
            TEST[part](report, server, runtime)
    report.show()
    return report.ok(all_here=all_here)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    building = verbs.add_parser("build", help="build into dist/")
    building.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(BUILD)}")
    building.add_argument("--target", action="append", choices=NAMES, help="build for this target alone")
    testing = verbs.add_parser("test", help="try what is in dist/")
    testing.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(TEST)}")
    testing.add_argument("--runtime", default="", help="only runtimes that this regular expression matches")
    testing.add_argument("--all-here", action="store_true", help="a runtime that is not to be had is a failure")
    looking = verbs.add_parser("check", help="check that it compiles for other systems")
    looking.add_argument("--target", action="append", choices=checking.TRIPLES, help="for this one alone")
    publishing = verbs.add_parser("publish", help="publish what is in dist/, as the workflow of a release does")
    publishing.add_argument("registry", choices=PUBLISH)
    arguments = parser.parse_args()
    if arguments.verb == "check":
        checking.check(arguments.target or [])
        return 0
    if arguments.verb == "publish":
        PUBLISH[arguments.registry]()
        return 0
    known = BUILD if arguments.verb == "build" else TEST
    if unknown := set(arguments.parts) - set(known):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    parts = arguments.parts or list(known)
    if arguments.verb == "test":
        return 0 if test(parts, arguments.runtime, all_here=arguments.all_here) else 1
    build(parts, [NAMES[name] for name in arguments.target or []] or here())
    return 0


if __name__ == "__main__":
    sys.exit(main())
