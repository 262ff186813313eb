"""The docs site: it is built without a warning, and every link in what was built leads somewhere."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, read, section
from tests.support.program import environment

needs_mkdocs = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("mkdocs", "material")),
    reason='needs pip install ".[docs]"',
)
needs_all_documents = pytest.mark.skipif(
    not (ROOT / ".github").exists(), reason="the source distribution leaves out what some pages link to"
)
_NEEDED = (".mkdocs.yml", ".github", "CHANGELOG.md", "LICENSE", "README.md", "docs", "examples", "tests")


@pytest.fixture(scope="module")
def check_site() -> ModuleType:
    """docs/check_site.py as a module."""
    spec = importlib.util.spec_from_file_location("docs_check_site", ROOT / "docs" / "check_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def build(root: Path, into: Path) -> subprocess.CompletedProcess[str]:
    """mkdocs, with every warning an error; with --quiet it would count none."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".mkdocs.yml", "-d", str(into)],
        cwd=root,
        env=environment(NO_MKDOCS_2_WARNING="1"),
        capture_output=True,
        text=True,
        check=False,
    )


@needs_mkdocs
@needs_all_documents
def test_the_site_is_built_and_its_links_lead_somewhere(tmp_path: Path, check_site: ModuleType) -> None:
    built = build(ROOT, tmp_path / "site")
    assert built.returncode == 0, built.stdout + built.stderr
    assert list(check_site.wrong(tmp_path / "site")) == []
    pages = {path.name for path in (tmp_path / "site").glob("*.html")}
    ours = {path.stem for path in DOCUMENTS if path.parent == ROOT / "docs"}
    assert {f"{name}.html" for name in ours} <= pages
    assert {"overview.html", "changelog.html", "examples.html", "tests.html", "security.html"} <= pages
    proof = tmp_path / "site" / "source" / "tests" / "faults" / "test_storms.py.html"
    assert "QUEUECTL_STORM_SECONDS" in proof.read_text(encoding="utf-8")
    told = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").glob("*.html"))
    assert str(ROOT) not in told
    # From a disk the search reads this, in a frame that a script of ours makes.
    assert (tmp_path / "site" / "search" / "search_index.js").read_text(encoding="utf-8").startswith("var ")
    assert 'src="iframe-worker.js"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "site" / "iframe-worker.js").is_file()
    overview = (tmp_path / "site" / "overview.html").read_text(encoding="utf-8")
    assert "queuectl run [FILE|DIR]..." in overview, "no backslash, which code hosts want there"


def test_the_front_page_leads_to_every_page_in_the_order_of_the_menu() -> None:
    menu = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = re.findall(r"([\w-]+\.md)$", menu, re.M)
    assert len(pages) > 20
    front = read("docs/index.md")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", front)]
    made = {page: f"../{source}" for source, page in _made_pages().items()}
    assert {made.get(page, page) for page in pages} - {"index.md"} == set(links)
    how_to = re.findall(r"([\w-]+\.md)$", menu.partition("- How to:")[2].partition("\n  - ")[0], re.M)
    listed = re.findall(r"\]\(([^)]+)\)", section("docs/index.md", "How to"))
    assert listed == how_to


def _made_pages() -> dict[str, str]:
    """`DOCUMENTS` of docs/mkdocs_hook.py, which only mkdocs can import."""
    tree = ast.parse(read("docs/mkdocs_hook.py"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTS":
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    raise LookupError("DOCUMENTS")


@needs_mkdocs
@needs_all_documents
def test_a_broken_link_is_no_site(tmp_path: Path) -> None:
    """The control of the test above."""
    for name in _NEEDED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, tmp_path / name)
    shutil.copytree(ROOT / "queuectl", tmp_path / "queuectl", ignore=shutil.ignore_patterns("__pycache__"))
    with open(tmp_path / "docs" / "order.md", "a", encoding="utf-8") as page:
        page.write("\n[a page](gone.md), [a place](many.md#gone), [a test](../tests/test_gone.py)\n")
    (tmp_path / "docs" / "left-out.md").write_text("# In no menu\n", encoding="utf-8")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    for name in ("gone.md", "#gone", "test_gone.py", "left-out.md"):
        assert name in built.stdout + built.stderr


class TestTheCheckOfTheSite:
    def wrong(self, check_site: ModuleType, tmp_path: Path, body: str) -> list[str]:
        (tmp_path / "other.html").write_text('<h1 id="there">x</h1>', encoding="utf-8")
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / "index.html").write_text(
            '<a href="../other.html#there">x</a>', encoding="utf-8"
        )
        (tmp_path / "page.html").write_text(f"<p id='here'>{body}</p>", encoding="utf-8")
        return list(check_site.wrong(tmp_path))

    @pytest.mark.parametrize(
        "body",
        [
            '<a href="other.html#there">x</a><a href="#here">x</a><a href="#">x</a>',
            '<a href="folder/">x</a><a href="/other.html">x</a><img src="data:image/png;base64,x">',
            '<a href="https://example.com/">x</a><link rel="canonical" href="https://example.com/">',
        ],
    )
    def test_lets_pass_what_is_right(self, check_site: ModuleType, tmp_path: Path, body: str) -> None:
        assert self.wrong(check_site, tmp_path, body) == []

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            ('<a href="gone.html">x</a>', "gone.html: leads nowhere"),
            ('<img src="gone.svg">', "gone.svg: leads nowhere"),
            ('<a href="other.html#gone">x</a>', "no such place"),
            ('<a href="#gone">x</a>', "no such place"),
            ('<a href="../../outside.html">x</a>', "../../outside.html: leads"),
            ('<script src="https://example.com/x.js"></script>', "fetched from another host"),
            ('<link rel="stylesheet" href="//example.com/x.css">', "fetched from another host"),
            ('<img src="http://example.com/x.png">', "fetched from another host"),
            ('<img srcset="https://example.com/x.png 2x">', "fetched from another host"),
            ('<img srcset="data:image/png;base64,x 1x, gone.png 2x, ">', "gone.png: leads nowhere"),
            ('<img srcset="other.html,gone.png">', "leads nowhere"),
            ('<link rel="preload" imagesrcset="//example.com/x.png 2x">', "fetched from another host"),
            ('<link rel="alternate stylesheet" href="//example.com/x.css">', "fetched from another host"),
            ('<link href="//example.com/x.css">', "fetched from another host"),
            ('<iframe src="https://example.com/"></iframe>', "fetched from another host"),
            ('<video poster="https://example.com/x.png"></video>', "fetched from another host"),
            ('<object data="https://example.com/x.svg"></object>', "fetched from another host"),
            ('<svg><use xlink:href="https://example.com/x.svg"/></svg>', "fetched from another host"),
            ("<style>@font-face{src:url(//example.com/f.woff2)}</style>", "fetched from another host"),
            ('<b style="background:url(gone.png)">x</b>', "gone.png: leads nowhere"),
        ],
    )
    def test_tells_what_is_wrong(self, check_site: ModuleType, tmp_path: Path, body: str, why: str) -> None:
        (told,) = self.wrong(check_site, tmp_path, body)
        assert told.startswith("page.html: ")
        assert why in told

    @pytest.mark.parametrize(
        ("style", "why"),
        [
            ("a{src:url('https://example.com/f.woff')}", "fetched from another host"),
            ("a{src:URL( //example.com/f.woff )}", "fetched from another host"),
            ('@import "https://example.com/x.css";', "fetched from another host"),
            ("@import url(https://example.com/x.css);", "fetched from another host"),
            ("@font-face{src:url(gone.woff2)}", "gone.woff2: leads nowhere"),
            ('a{src:url("../outside.woff2?v=1")}', "../outside.woff2?v=1: leads nowhere"),
        ],
    )
    def test_looks_into_style_sheets(
        self, check_site: ModuleType, tmp_path: Path, style: str, why: str
    ) -> None:
        (tmp_path / "x.css").write_text(style, encoding="utf-8")
        (told,) = self.wrong(check_site, tmp_path, "x")
        assert told.startswith("x.css: ")
        assert why in told

    def test_lets_pass_what_is_right_in_style_sheets(self, check_site: ModuleType, tmp_path: Path) -> None:
        (tmp_path / "f.woff2").write_bytes(b"x")
        style = (
            "/* url(gone.png) */ a{src:url(f.woff2?v=1),url('data:image/svg+xml,<svg xmlns=\"http://x\"/>')}"
        )
        (tmp_path / "x.css").write_text(style, encoding="utf-8")
        assert self.wrong(check_site, tmp_path, "<style>a{src:url(f.woff2)}</style>") == []

    def test_a_folder_without_a_page_is_no_site(
        self, check_site: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert check_site.main([str(tmp_path)]) == 1
        assert capsys.readouterr().err == f"{tmp_path.resolve()}: there is no page{os.linesep[-1]}"
