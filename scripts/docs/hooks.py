"""What mkdocs is told beyond mkdocs.yml: files of the repository that are pages too, and where links to others lead."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]

# Files outside docs/ that are pages, and what each is called there.
PAGES = {
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benches/RESULTS.md": "measurements.md",
}
# And pictures on those.
PICTURES = {"benches/results/bars.svg": "drawings/bars.svg"}
# What is a page by another name.
ALIASES = {"README.md": "index.md"}

LINK = re.compile(r"(?P<open>\]\()(?P<target>[^)\s]+)(?P<close>\))")
ROW = re.compile(r"^\|.*\|$", re.MULTILINE)
INLINE = re.compile(r"`[^`\n]+`")
CODE = re.compile(r"^(?P<indent> *)```.*?^(?P=indent)```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages and pictures that are kept elsewhere."""
    for source, name in {**PAGES, **PICTURES}.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are written for a repository become links between pages, or into the repository.

    A bar inside code is escaped in a table, which forges want; here it would show.
    """
    del files
    sources = {name: source for source, name in PAGES.items()}
    name = page.file.src_uri
    folder = posixpath.dirname(sources.get(name, f"docs/{name}"))

    def lead(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return match["open"] + led(folder, target, config.extra["repository"]) + match["close"]

    def shown(text: str) -> str:
        bare = ROW.sub(lambda row: INLINE.sub(lambda code: code[0].replace("\\|", "|"), row[0]), text)
        return LINK.sub(lead, bare)

    pieces, end = [], 0
    for block in CODE.finditer(markdown):
        pieces += [shown(markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*pieces, shown(markdown[end:])])


def led(folder: str, target: str, repository: str) -> str:
    """Where a link from a file in `folder` leads on the pages."""
    path, mark, anchor = target.partition("#")
    path = posixpath.normpath(posixpath.join(folder, path))
    known = {**PAGES, **PICTURES, **ALIASES}.get(path)
    if path.startswith("docs/"):
        known = path.removeprefix("docs/")
    if known:
        return known + mark + anchor
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    return f"{repository}/{kind}/main/{path}"
