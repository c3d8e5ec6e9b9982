"""What the README shows is what works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SHELL = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("code", PYTHON, ids=[code.splitlines()[0] for code in PYTHON])
def test_python_blocks_run(made_once, code):
    code = code.replace("shards/", f"{made_once}/").replace("room000030-000003", "room000003-000001")
    exec(compile(code, "README.md", "exec"), {})


def test_every_command_named_is_there():
    commands = set(re.findall(r"^roomgen (\w+)", SHELL, flags=re.MULTILINE))
    assert commands >= {"rooms", "verify", "inspect", "replay", "label", "materials"}
    listed = subprocess.run([sys.executable, "-m", "roomgen.cli", "--help"], capture_output=True, text=True, check=True).stdout
    assert all(re.search(rf"^  {command} ", listed, flags=re.MULTILINE) for command in commands)


def test_every_flag_named_is_there():
    flags = set(re.findall(r"(--[a-z][a-z0-9-]*)", re.sub(r"```sh\nmake.*?```", "", README, flags=re.DOTALL)))
    listed = "".join(
        subprocess.run([sys.executable, "-m", "roomgen.cli", command, "--help"], capture_output=True, text=True, check=True).stdout
        for command in ("rooms", "label", "verify", "inspect", "bench")
    )
    assert {flag for flag in flags if flag not in listed} == set()
