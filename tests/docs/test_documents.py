"""Every script and command of README and tutorials is run, in order, one namespace per file."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_runs import tiny

import hwloop
from hwloop.backend import split_url
from hwloop.cli import main
from hwloop.experiments.train import train_run

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "docs" / "import.md",
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
]
EVERY_DOCUMENT = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

BLOCK = re.compile(
    r"(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)
SCHEMES = "sim|emulator|serial|zmq|replay"
URL = re.compile(rf"(?<![\w/.])(?:{SCHEMES}):[^\s`'\"|)]+")


@dataclass(frozen=True)
class Block:
    """A block of a document; `note` is the comment right above it."""

    language: str
    text: str
    note: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    content = document.read_text(encoding="utf-8")
    for match in BLOCK.finditer(content):
        line = content.count("\n", 0, match.start("text"))
        yield Block(match["language"], match["text"], match["note"] or "", line)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with a finished run, `runs/7`, and the excerpts of measured data."""
    train_run(tiny(schedule__limit=12), out=tmp_path / "runs" / "7")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_documents_run(document: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "document"}
    for block in blocks(document):
        if block.language == "python":
            padded = "\n" * block.line + block.text  # so that tracebacks name the line
            exec(compile(padded, str(document), "exec"), namespace)
        elif block.language == "yaml":
            name = re.match(r"# (\S+)", block.text)
            if name is not None:
                (place / name[1]).write_text(block.text)
        elif block.language == "bash" and block.note != "not run":
            run_commands(block, place)
    capsys.readouterr()


def run_commands(block: Block, place: Path) -> None:
    if (interrupted := re.match(r"interrupted run: (\S+)", block.note)) is not None:
        folder = place / interrupted[1]
        shutil.rmtree(folder)
        interrupt(folder)
    more = re.match(r"run with: (.*)", block.note)
    for command in block.text.strip().splitlines():
        words = shlex.split(command)
        assert words[0] == "hwloop", command
        if more is not None and words[1] == "train":
            words += shlex.split(more[1])
        assert main(words[1:]) == 0, command


def interrupt(folder: Path) -> None:
    """Leave a run that stopped behind a checkpoint."""

    class Stop:
        def begin(self, plan: object) -> None: ...
        def epoch(self, row: object) -> None: ...
        def note(self, text: str) -> None: ...

        def batch(self, state: object) -> None:
            if state.progress.batches == 10:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(tiny(schedule__limit=12), out=folder, observer=Stop())


def test_urls_pass_through_a_shell_unquoted() -> None:
    urls = sorted({url for document in EVERY_DOCUMENT for url in find_urls(document)})
    assert len(urls) >= 5
    for url in urls:
        shown = subprocess.check_output(["bash", "-c", f"printf %s {url}"], text=True)
        assert shown == url
        split_url(url)


def find_urls(document: Path) -> list[str]:
    found = URL.findall(document.read_text(encoding="utf-8"))
    return [url.rstrip(".,;:") for url in found if "{" not in url]


def test_simulated_arrays_of_the_documents_open() -> None:
    for url in {url for document in DOCUMENTS for url in find_urls(document)}:
        if split_url(url)[0] == "sim":
            hwloop.connect(url).close()


def test_the_two_commands_of_the_readme_are_those_of_ci() -> None:
    commands = [block.text for block in blocks(ROOT / "README.md") if block.note == "not run"]
    assert len(commands) == 2
    ci = (ROOT / ".ci" / "run").read_text()
    for part in re.split(r"; | && ", commands[1].strip()):
        assert part in ci


def test_links_lead_somewhere() -> None:
    for document in [*DOCUMENTS, ROOT / "docs" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
