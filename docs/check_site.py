"""Check a built site: every link in it leads somewhere, and nothing is fetched from another host.

python docs/check_site.py [FOLDER]      exit 1, and a line for each thing that is wrong
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple, Optional
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build" / "site"
_COMMENT = re.compile(r"/\*.*?\*/", re.S)
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*(?:"([^"]*)"|'([^']*)')|url\(\s*([^\s"')]+)""", re.I)
"""What a style sheet names: `url(...)`, quoted or not, and `@import "..."`."""
_ADDRESSES = ("href", "xlink:href", "src", "poster", "data", "background")
_LISTS = ("srcset", "imagesrcset")
_NOT_LOADED = {"canonical", "next", "prev", "alternate", "edit"}
"""What a `link` may say, and nothing else, that makes no browser fetch anything."""


class Seen(NamedTuple):
    """An address on a page, and whether a browser fetches it to show the page."""

    address: str
    is_fetched: bool


class PageParser(HTMLParser):
    """What a page has to be linked to by, and what it leads to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: set[str] = {"", "__top"}
        self.seen: list[Seen] = []
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        """As the parser calls it."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        relations = set(given.get("rel", "").lower().split())
        loaded = tag not in ("a", "area") and not (tag == "link" and relations and relations <= _NOT_LOADED)
        self.seen += [Seen(given[name], loaded) for name in _ADDRESSES if name in given]
        for name in _LISTS:
            self.seen += [Seen(address, True) for address in _of_list(given.get(name, ""))]
        self.seen += [Seen(address, True) for address in _of_style(given.get("style", ""))]
        self._is_style = tag == "style"

    def handle_data(self, data: str) -> None:
        """As the parser calls it."""
        if self._is_style:
            self.seen += [Seen(address, True) for address in _of_style(data)]

    def handle_endtag(self, tag: str) -> None:
        """As the parser calls it."""
        self._is_style = False


def _of_list(text: str) -> list[str]:
    """The addresses of a `srcset`: each may have a width or a density behind it, and a comma behind that."""
    return [address.strip(",") for address in re.findall(r"(?:^|(?<=,))\s*([^\s,]\S*)", text)]


def _of_style(text: str) -> list[str]:
    """The addresses that a style sheet names."""
    found = _IN_STYLE.findall(_COMMENT.sub("", text))
    return [address for address in map("".join, found) if address]


def wrong(site: Path) -> Iterator[str]:
    """What is wrong with the site in this folder, a line for each."""
    pages = {path: _parsed(path) for path in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site}: there is no page"
    for path, page in pages.items():
        for seen in page.seen:
            if why := _problem(site, path, seen, pages):
                yield f"{path.relative_to(site).as_posix()}: {seen.address}: {why}"
    for path in sorted(site.rglob("*.css")):
        for address in _of_style(path.read_text(encoding="utf-8")):
            if why := _problem(site, path, Seen(address, True), pages):
                yield f"{path.relative_to(site).as_posix()}: {address}: {why}"


def _parsed(path: Path) -> PageParser:
    parser = PageParser()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


def _problem(site: Path, path: Path, seen: Seen, pages: dict[Path, PageParser]) -> str:
    parts = urlsplit(seen.address)
    if parts.scheme == "data":
        return ""
    if parts.scheme or parts.netloc:
        return "fetched from another host" if seen.is_fetched else ""
    start = site if parts.path.startswith("/") else path.parent
    target = (start / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "leads nowhere"
    if site.resolve() not in target.resolve().parents:
        return "leads out of the site"
    known = pages.get(target)
    if parts.fragment and (known is None or unquote(parts.fragment) not in known.anchors):
        return "there is no such place on that page"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Check; the exit code."""
    site = Path(arguments[0] if arguments else BUILT).resolve()
    found = list(wrong(site))
    sys.stderr.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
