"""A dataset whose inputs lie elsewhere now: its samples are made again where the command line says where."""

import json

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from roomgen.cli import app
from roomgen.datasets.sources.family import sources_settings
from roomgen.errors import RoomgenError
from roomgen.run.generate import generate
from roomgen.store.dataset import Dataset
from roomgen.store.info import read_info, write_info


@pytest.fixture
def moved(tmp_path):
    """A dataset of four recordings, and the folder that they have been moved to."""
    (tmp_path / "in").mkdir()
    for number in range(4):
        soundfile.write(tmp_path / "in" / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(4000), 16000)
    settings, inputs = sources_settings("folder", tmp_path / "in", {"splits.shares": {"train": 1.0}})
    generate(settings, tmp_path / "out", workers=0, progress=False, inputs=inputs)
    (tmp_path / "in").rename(tmp_path / "elsewhere")
    return tmp_path / "out", tmp_path / "elsewhere"


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_where_inputs_lie_can_be_said(moved):
    root, now = moved
    (name,) = read_info(root)["inputs"]
    key = Dataset(root)[0].key
    lost = invoke("verify", root, "--deep")
    assert lost.exit_code == 1
    assert f"--input {name}=DIR" in lost.output
    refused = invoke("replay", root, key).exception
    assert isinstance(refused, RoomgenError)
    assert f"is not at {root / '../in'} any more: say where it lies, --input {name}=DIR" in str(refused)
    for command in (("verify", root, "--deep"), ("replay", root, key)):
        found = invoke(*command, "--input", f"{name}={now}")
        assert found.exit_code == 0, found.output
    assert json.loads(invoke("replay", root, key, "--input", f"{name}={now}", "--json").output)["identical"] is True


@pytest.mark.parametrize(
    ("given", "words"), [("=/x", "give the name"), ("folder", "give the name"), ("corpora=/x", "no input 'corpora'")]
)
def test_what_is_said_of_inputs_is_checked(moved, given, words):
    root, _ = moved
    for command in (("verify", root, "--deep"), ("replay", root, Dataset(root)[0].key)):
        said = invoke(*command, "--input", given)
        assert said.exit_code != 0
        assert words in str(said.exception) + said.output


def test_a_dataset_that_names_an_absolute_input_is_not_followed(moved):
    root, now = moved
    info = read_info(root)
    (name,) = info["inputs"]
    write_info(root, {**info, "inputs": {name: str(now)}})
    refused = invoke("replay", root, Dataset(root)[0].key)
    assert isinstance(refused.exception, RoomgenError)
    assert f"--input {name}=DIR" in str(refused.exception)
    assert invoke("replay", root, Dataset(root)[0].key, "--input", f"{name}={now}").exit_code == 0
