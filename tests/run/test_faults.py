"""A build that is killed, or refused by the system, at any of its file calls: the same command completes it to the same bytes.

Calls are counted in a dry run; then, call by call, a forked child makes the same build and meets its fault there.
"""

import builtins
import errno
import io
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from roomgen.datasets.devices.family import devices_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.verify import verify

FEW = {
    "count": 2,
    "angles_deg": (0.0, 90.0, 180.0),
    "distances_m": (0.5,),
    "n_samples": 128,
    "shard_size": 2,
    "splits.shares": {"train": 0.5, "test": 0.5},
}
CALLS = ("open", "replace", "rename", "link", "unlink", "remove", "mkdir", "fsync")
KILL = 0
REFUSALS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.ENAMETOOLONG)
REFUSED, OTHER, KILLED = 3, 4, 9
MOST = int(os.environ.get("ROOMGEN_FAULTS", "40"))
"""File calls that are tried; set ROOMGEN_FAULTS to a large number for every one."""


class Faults:
    """Counts file calls below a folder, and lets one of them go wrong."""

    def __init__(self, root: Path, at: int = -1, fault: int = KILL) -> None:
        self.root, self.at, self.fault = str(root), at, fault
        self.names: list[str] = []

    def called(self, name: str) -> None:
        self.names.append(name)
        if len(self.names) - 1 == self.at:
            if self.fault == KILL:
                os._exit(KILLED)
            raise OSError(self.fault, os.strerror(self.fault), self.root)

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in CALLS:
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))
        opened = builtins.open

        def counted(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            if not str(file).startswith(self.root):
                return opened(file, mode, *rest, **more)
            self.called(f"open {mode}")
            made = opened(file, mode, *rest, **more)
            return made if mode[0] == "r" else Watched(made, self)

        monkeypatch.setattr(builtins, "open", counted)
        monkeypatch.setattr(io, "open", counted)
        for name in ("__init__", "write_table", "close"):
            monkeypatch.setattr(pq.ParquetWriter, name, self._before(f"parquet {name}", getattr(pq.ParquetWriter, name)))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            if name == "fsync":  # without a power cut there is nothing to see of it but its refusal
                return self.called(name)
            if any(str(arg).startswith(self.root) for arg in args):
                self.called(name)
            return function(*args, **more)

        return call

    def _before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            self.called(name)
            return function(*args, **more)

        return call


class Watched:
    """A file open for writing, whose calls are counted."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, data: Any) -> int:
        self._faults.called("write")
        return int(self._file.write(data))

    def close(self) -> None:
        try:
            self._faults.called("close")
        finally:
            self._file.close()

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def build(root: Path) -> None:
    settings, inputs = devices_settings("microphones", None, FEW)
    generate(settings, root, workers=0, progress=False, inputs=inputs)


def bytes_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def in_child(root: Path, at: int, fault: int, log: Path) -> int:
    """Return how a child ended that built the dataset and met a fault: 0, KILLED, REFUSED by one clear line, or OTHER."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        with pytest.MonkeyPatch.context() as patch:
            Faults(root, at, fault).install(patch)
            try:
                build(root)
                code = 0
            except RoomgenError as error:
                code = OTHER if "\n" in str(error) else REFUSED
            except BaseException:
                code = OTHER
                log.write_text(traceback.format_exc())
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], list[str]]:
    """The bytes of the dataset, and the file calls of its build."""
    root = tmp_path_factory.mktemp("whole") / "out"
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(root)
        faults.install(patch)
        build(root)
    assert verify(root) == []
    return bytes_of(root), faults.names


def sampled(names: list[str], most: int) -> Iterator[int]:
    """Yield the first and last call of each kind, and of the others as many as that leaves, evenly."""
    ends = {names.index(name) for name in names} | {len(names) - 1 - names[::-1].index(name) for name in names}
    rest = [i for i in range(len(names)) if i not in ends]
    yield from sorted(ends | set(rest[:: -(-len(rest) // max(most - len(ends), 1))]))


def test_a_kill_at_any_call_costs_no_more_than_unfinished_shards(
    whole: tuple[dict[str, bytes], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, names = whole
    assert {"write", "fsync", "replace", "link", "mkdir", "open wb", "parquet write_table"} <= set(names)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for at in sampled(names, MOST):
        root = tmp_path / str(at)
        assert in_child(root, at, KILL, tmp_path / "log") == KILLED, (at, names[at])
        build(root)
        assert bytes_of(root) == expected, (at, names[at])
        shutil.rmtree(root)


def test_what_the_system_refuses_is_one_line_and_then_the_same_command_completes(
    whole: tuple[dict[str, bytes], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, names = whole
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for turn, at in enumerate(sampled(names, MOST)):
        code = REFUSALS[turn % len(REFUSALS)]
        root, log = tmp_path / str(at), tmp_path / "log"
        ended = in_child(root, at, code, log)
        assert ended in (0, REFUSED), (names[at], errno.errorcode[code], log.read_text() if log.exists() else ended)
        assert not list(root.rglob(".roomgen-tmp-*")) or names[at] in ("unlink", "remove")
        build(root)
        assert bytes_of(root) == expected, (at, names[at], code)
        shutil.rmtree(root)


def test_a_kill_before_any_shard_leaves_the_folder_to_other_settings(
    whole: tuple[dict[str, bytes], list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, names = whole
    monkeypatch.setattr(os, "fsync", lambda _: None)
    settings, inputs = devices_settings("microphones", None, {**FEW, "seed": 1})
    generate(settings, tmp_path / "other", workers=0, progress=False, inputs=inputs)
    first = names.index("link")  # the first commit mark
    for at in (*range(0, first, 5), first):
        root = tmp_path / str(at)
        assert in_child(root, at, KILL, tmp_path / "log") == KILLED
        generate(settings, root, workers=0, progress=False, inputs=inputs)
        assert bytes_of(root) == bytes_of(tmp_path / "other"), (at, names[at])
        shutil.rmtree(root)
    assert in_child(tmp_path / "begun", first + 1, KILL, tmp_path / "log") == KILLED
    with pytest.raises(RoomgenError, match="other settings: seed: 0 → 1"):
        generate(settings, tmp_path / "begun", workers=0, progress=False, inputs=inputs)


@pytest.mark.parametrize("out", ["/proc/nope/x", "/dev/null/x", "x" * 300])
def test_where_no_folder_can_be_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RoomgenError, match=r"cannot write .* choose another --out"):
        build(Path(out))
