"""Locks on folders: one holder at a time whatever happens to their files, and nothing left behind."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from roomgen.datasets.family import AnyJob
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.run.verify import verify
from roomgen.store.folder import Folder
from roomgen.store.lock import LOCK_FILE, CannotLock, lock, locked
from tests.conftest import tiny_settings

HOLD = """
import sys, time
from pathlib import Path
from roomgen.store.lock import lock
with lock(Path(sys.argv[1])) as alone:
    print(alone, flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_once_and_then_free_and_empty_again(tmp_path: Path) -> None:
    for _ in range(2):
        with lock(tmp_path) as one:
            assert one
            assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]
            with lock(tmp_path) as other:
                assert not other
            assert (tmp_path / LOCK_FILE).exists()  # who does not hold it removes nothing
        assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_killed_holds_nothing_any_more(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    with lock(tmp_path) as alone:
        assert not alone
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / LOCK_FILE).exists()
    with lock(tmp_path) as alone:
        assert alone
    assert list(tmp_path.iterdir()) == []


def test_who_waited_for_a_file_that_was_removed_locks_the_one_that_counts(tmp_path: Path) -> None:
    path, got, done = tmp_path / "lock", threading.Event(), threading.Event()

    def wait() -> None:
        with locked(path, wait=True) as alone:
            assert alone
            got.set()
            done.wait(30)

    waiting = threading.Thread(target=wait)
    with locked(path) as alone:
        assert alone
        waiting.start()
        time.sleep(0.2)  # it has opened this file and waits for it
        assert not got.is_set()
    assert got.wait(30)
    with locked(path) as third:
        assert not third
    done.set()
    waiting.join()
    assert not path.exists()


def test_of_many_that_wait_one_at_a_time_works(tmp_path: Path) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(25):
            with locked(tmp_path / "lock", wait=True):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 150


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def test_without_locks_a_warning_says_so_and_the_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.warns(UserWarning, match="file system that cannot lock files. Take care that only one command"),
        lock(tmp_path) as alone,
    ):
        assert alone
    with pytest.raises(CannotLock), locked(tmp_path / "lock", wait=True):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_counts_as_held_and_a_full_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[int] = []
    opened = os.open

    def refuse(path: Any, *rest: Any, **more: Any) -> int:
        if str(path).endswith(LOCK_FILE):
            raise OSError(refused[-1], os.strerror(refused[-1]), str(path))
        return opened(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    for code in (errno.EACCES, errno.EROFS):
        refused.append(code)
        with lock(tmp_path) as alone:
            assert alone
    refused.append(errno.ENOSPC)
    with pytest.raises(RoomgenError, match="the disk is full"), lock(tmp_path):
        pass


def test_a_lock_that_was_left_in_a_dataset_hinders_nobody_and_goes_with_the_next_run(tiny: Path) -> None:
    (tiny / LOCK_FILE).touch()
    assert verify(tiny) == []
    generate(tiny_settings(), tiny, workers=0, progress=False)
    assert not (tiny / LOCK_FILE).exists()


def test_the_lock_outlives_the_removal_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from roomgen.run import generate as generating

    held: list[bool] = []
    finish = generating.finish

    def seen(job: AnyJob, store: Folder) -> dict[str, Any]:
        with lock(store.root) as alone:
            held.append(not alone)
        return finish(job, store)

    monkeypatch.setattr(generating, "finish", seen)
    generate(tiny_settings(), tmp_path / "out", workers=0, progress=False)
    assert held == [True]
    assert not (tmp_path / "out" / LOCK_FILE).exists()
