"""`roomtrain train --jobs`: cells shared out among processes end as those that one process trains; stops and failures reach all."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from roomtrain.jobs import is_job, side_by_side
from tests.roomtrain.conftest import Said

ROOT = Path(__file__).parents[2]
Roomtrain = Callable[..., Said]
CELLS = ("--sweep", "dropout=0.1,0.2,0.3", "--preset", "smoke", "--device", "cpu", "--log", "none")
LESS = {
    "strategy": '"supervised"',
    "downstream.targets": '["c50"]',
    "downstream.splits": '["sample"]',
    "downstream.train": 32,
    "downstream.val": 16,
    "downstream.test": 32,
    "cache_gb": 0,
}
FEW = (*CELLS, *(text for key, value in LESS.items() for text in ("--set", f"{key}={value}")))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(data: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "roomtrain.cli", "train", "goetz", "--data", str(data), "--out", str(out), *FEW, *more]


def test_cells_of_two_processes_are_those_of_one(roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        command(goetz_made, tmp_path / "two", "--jobs", "2", "--json"),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "another command" not in ran.stderr
    two = json.loads(ran.stdout)
    one = json.loads(roomtrain("train", "goetz", "--data", goetz_made, "--out", tmp_path / "one", *FEW, "--json").out)
    assert len(two) == 3
    assert [result["protocols"] for result in two] == [result["protocols"] for result in one]


def test_asked_to_stop_all_stop_and_nothing_is_lost(goetz_made: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    job = subprocess.Popen(
        command(goetz_made, out, "--jobs", "2", "--set", "supervised.max_epochs=10000", "--set", "supervised.patience=10000"),
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while len(list(out.glob("*/*/*/last.pt"))) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    job.send_signal(signal.SIGTERM)
    _, said = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert said.count("stopped and saved") == 2


def test_where_one_fails_the_others_are_ended(tmp_path: Path) -> None:
    script = tmp_path / "roomtrain" / "cli.py"
    script.parent.mkdir()
    (script.parent / "__init__.py").touch()
    taken = tmp_path / "taken"
    script.write_text(
        f"import os, sys, time\ntry:\n    os.mkdir({str(taken)!r})\nexcept FileExistsError:\n    sys.exit(3)\ntime.sleep(600)\n",
        encoding="utf-8",
    )
    caller = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from roomtrain.jobs import side_by_side; print(side_by_side(2, []))"
    ran = subprocess.run(
        [sys.executable, "-c", caller], cwd="/", env={**ENVIRONMENT, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ran.stdout.strip() == "(3, '')", ran.stderr


def test_each_has_its_share_of_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Job:
        returncode = 0

        def __init__(self, arguments: list[str], *, env: dict[str, str], **_: object) -> None:
            given.append((arguments[3:], env["OMP_NUM_THREADS"]))

        def poll(self) -> int:
            return 0

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(subprocess, "Popen", Job)
    assert side_by_side(3, ["train", "goetz"]) == (0, "")
    assert given == [(["train", "goetz"], "2")] * 3
    assert not is_job()


@pytest.mark.parametrize("jobs", ["0", "65"])
def test_a_number_of_jobs_that_makes_no_sense_is_one_line(
    roomtrain: Roomtrain, goetz_made: Path, tmp_path: Path, jobs: str
) -> None:
    said = roomtrain("train", "goetz", "--data", goetz_made, "--out", tmp_path / "run", *FEW, "--jobs", jobs)
    assert said.code == 2
    assert said.err.strip() == f"roomtrain: --jobs {jobs} is outside 1…64."
