"""What the README shows is what works."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from roomtrain import table
from roomtrain.paper import get_paper
from roomtrain.results import published_results

ROOT = Path(__file__).parents[1]
DOCS = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
README = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", *sorted(DOCS)))
SHELL = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL))
PYTHON = [code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "runs/" not in code]
"""Those of trained runs are tested with the trainer."""
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
    "roomtrain": {"train", "table", "compare", "embed", "evaluate", "probe", "figures", "config", "export", "gpu"},
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
    text = re.sub(r"torchrun .*? -m ", "", text)  # its flags are torch's
    flags = set(re.findall(r"(--[a-z][a-z0-9-]*)", text))
    listed = "".join(
        help_of(f"{program}.cli", command) for program, commands in COMMANDS.items() for command in (*sorted(commands), "bench")
    )
    assert {flag for flag in flags if flag not in listed} == set()


def between(mark: str) -> str:
    found = re.search(rf"<!-- {mark} -->\n(.*?)\n<!-- /{mark} -->", README, flags=re.DOTALL)
    assert found is not None
    return found[1].strip()


def test_the_tables_are_made_from_the_results_that_come_with_them():
    goetz = get_paper("goetz")
    values = table.table(goetz, published_results(goetz))
    assert between("table") == table.markdown(goetz, values)
    assert between("excerpt") == table.cell_markdown(goetz, values, "soft-0.1").split("\n\n")[0]


def test_every_link_leads_somewhere():
    for name in ("README.md", "CHANGELOG.md", *DOCS):
        file = ROOT / name
        for link in re.findall(r"\]\(([^)#]+)", file.read_text(encoding="utf-8")):
            assert link.startswith("http") or (file.parent / link).exists(), (name, link)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 230
