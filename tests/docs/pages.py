"""Read the pages of the documentation: code blocks, the marks above them, links and anchors.

A mark is an HTML comment on the line above a block. The marks in use:

    <!-- not run: REASON -->    a python block that is shown but not executed
    <!-- prints -->             a text block with what the python or console block above it prints
"""

import ast
import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    page for page in DOCS.rglob("*.md") if not {"_build", "_generated"} & set(page.parts)
)
# Packages that a module imports without naming them.
_ALSO_NEEDED = {"gymnasium.wrappers.vector": ["array_api_compat", "array_api_extra"]}
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page."""

    page: Path
    line: int
    """Number of its opening fence, from 1."""
    language: str
    text: str
    mark: str
    """The comment on the line above it, or an empty string."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """The code blocks of a page in order, of some languages or of all."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        above = text[: match.start()].rstrip("\n").rpartition("\n")[2]
        mark = re.fullmatch(r"<!-- (.*) -->", above)
        line = text[: match.start()].count("\n") + 1
        found.append(Block(page, line, match[1], match[2], "" if mark is None else mark[1]))
    return [block for block in found if not languages or block.language in languages]


def commands(block: Block) -> list[list[str]]:
    """The commands of a console block, split into words. A backslash continues a line."""
    text = re.sub(r"\\\n\s*", " ", block.text)
    lines = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


def environment(*folders: Path) -> dict[str, str]:
    """The environment variables of a program that imports from these folders."""
    path = os.pathsep.join(map(str, folders))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def packages(program: str) -> set[str]:
    """The top-level packages that a program imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *_ALSO_NEEDED.get(node.module, [])}
    return {name.split(".")[0] for name in found}


def sections(page: Path) -> dict[str, list[Block]]:
    """The Python blocks of a page by the heading of level 2 above them."""
    text = page.read_text(encoding="utf-8").splitlines()
    found: dict[str, list[Block]] = {}
    for block in blocks(page, "python"):
        headings = [line[3:] for line in text[: block.line] if line.startswith("## ")]
        found.setdefault(headings[-1] if headings else "", []).append(block)
    return found


def links(page: Path) -> list[str]:
    """The targets of relative links and pictures outside code blocks."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(<?([^)>\s]+)", text) + re.findall(r'src="([^"]+)"', text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found = set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found
