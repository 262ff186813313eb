"""The site is more than docs/: other documents of the repository are pages of it, and so is each file that
a document links to. Links stay as a code host wants them; here they are led to these pages.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
    "tests/README.md": "tests.md",
    ".github/CONTRIBUTING.md": "contributing.md",
    ".github/SECURITY.md": "security.md",
}
"""What is written elsewhere in the repository, and the pages that it becomes."""
_SOURCES = "source"
_LANGUAGES = {"py": "python", "json": "json", "yml": "yaml", "sh": "sh", "ps1": "powershell"}
_FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
_LINK = re.compile(r"(\]\()([^)\s]+)(?=\))")
_ELSEWHERE = re.compile(r"[a-z]+:|#")
_INNER_ITEM = re.compile(r"^( +)(?=[-*] )", re.M)
_CELL_CODE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents that lie elsewhere, and every file that a document links to."""
    for source, page in DOCUMENTS.items():
        if (ROOT / source).exists():
            files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    linked = {target for page in files.documentation_pages() for target in _targets(page.src_uri)}
    shown = {path for target in linked if _is_source(target) for path in _with_tests(ROOT / target)}
    for path in sorted(shown):
        name = path.relative_to(ROOT).as_posix()
        made = File.generated(config, _page_of(name), content=_shown(path, name))
        made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to the pages of this site, and say what Python-Markdown understands otherwise as it does."""
    source = _source_of(page.file.src_uri)
    if source is None:
        return markdown
    parts = _FENCE.split(markdown)
    parts[::2] = [_adapted(text, source, page.file.src_uri) for text in parts[::2]]
    return "".join(parts)


def _adapted(text: str, source: str, page: str) -> str:
    def led(match: re.Match[str]) -> str:
        name, _, anchor = match[2].partition("#")
        if _ELSEWHERE.match(match[2]):
            return match[0]
        target = posixpath.relpath(_page_of(_resolved(source, name)), posixpath.dirname(page) or ".")
        return f"{match[1]}{target}{'#' if anchor else ''}{anchor}"

    text = _LINK.sub(led, text)
    # Inner lists stand two spaces in here, four there; in a table's code a code host wants `\|`.
    text = _INNER_ITEM.sub(lambda match: match[1] * 2, text)
    return _CELL_CODE.sub(lambda match: match[0].replace("\\|", "|"), text)


def _is_source(path: str) -> bool:
    """Whether a path in the repository is shown as it is, and no document."""
    return _page_of(path).startswith(f"{_SOURCES}/")


def _source_of(page: str) -> str | None:
    """The path in the repository of a page's text; None of one that is made here."""
    if page.startswith(f"{_SOURCES}/"):
        return None
    return next((source for source, name in DOCUMENTS.items() if name == page), f"docs/{page}")


def _page_of(path: str) -> str:
    """The page, or the picture, that a path in the repository is on the site."""
    if path in DOCUMENTS:
        return DOCUMENTS[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    # A web server may keep what begins with a dot to itself.
    return f"{_SOURCES}/{path.removeprefix('.')}.md"


def _resolved(source: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _targets(page: str) -> Iterator[str]:
    """What a page links to in the repository."""
    source = _source_of(page)
    if source is None:
        return
    for text in _FENCE.split((ROOT / source).read_text(encoding="utf-8"))[::2]:
        for _, link in _LINK.findall(text):
            if not _ELSEWHERE.match(link):
                yield _resolved(source, link.partition("#")[0])


def _with_tests(path: Path) -> list[Path]:
    """The file; of a folder itself, and the tests in it. Of what is not there nothing: mkdocs tells of it."""
    if path.is_dir():
        return [path, *sorted(path.glob("test_*.py"))]
    return [path] if path.exists() else []


def _shown(path: Path, name: str) -> str:
    """A page that shows a file of the repository."""
    head = f"---\ntitle: {path.name}\nsearch: {{exclude: true}}\n---\n\n# {name}\n\n"
    if path.is_dir():
        return head + "".join(f"- [{one.name}]({path.name}/{one.name}.md)\n" for one in _with_tests(path)[1:])
    text = path.read_text(encoding="utf-8")
    return f"{head}~~~~~~~~ {_LANGUAGES.get(path.suffix[1:], 'text')}\n{text.rstrip()}\n~~~~~~~~\n"
