"""What the README shows is what works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SHELL = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = {
    "roomgen": {
        "rooms",
        "arrays",
        "devices",
        "sources",
        "render",
        "paper",
        "corpora",
        "verify",
        "inspect",
        "replay",
        "label",
        "materials",
    },
    "roomtrain": {"train", "table", "compare", "embed", "evaluate", "figures", "config", "bench"},
}


def help_of(*words: str) -> str:
    return subprocess.run([sys.executable, "-m", *words, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("code", PYTHON, ids=[code.splitlines()[0] for code in PYTHON])
def test_python_blocks_run(made_once, code):
    code = code.replace("shards/", f"{made_once}/").replace("room000030-000003", "room000003-000001")
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("program", COMMANDS)
def test_every_command_named_is_there(program):
    commands = set(re.findall(rf"^{program} (\w+)", SHELL, flags=re.MULTILINE))
    assert commands >= COMMANDS[program]
    listed = help_of(f"{program}.cli")
    assert all(re.search(rf"^  {command} ", listed, flags=re.MULTILINE) for command in commands)


def test_every_flag_named_is_there():
    text = re.sub(r"```sh\nmake.*?```", "", re.sub(r"<!--.*?-->", "", README, flags=re.DOTALL), flags=re.DOTALL)
    flags = set(re.findall(r"(--[a-z][a-z0-9-]*)", text))
    listed = "".join(
        help_of(f"{program}.cli", command) for program, commands in COMMANDS.items() for command in (*sorted(commands), "bench")
    )
    assert {flag for flag in flags if flag not in listed} == set()


def test_the_table_is_made_from_the_results_that_come_with_it():
    table = pytest.importorskip("roomtrain.papers.goetz.table", reason="torch is not installed")
    shown = re.search(r"<!-- table -->\n(.*?)\n<!-- /table -->", README, flags=re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == table.markdown(table.table(table.published_results()))
