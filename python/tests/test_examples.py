"""Every example runs to its end, quickly, and leaves its pictures."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import rushlight

ROOT = Path(__file__).resolve().parents[2]
PICTURES = {
    "xor": ["loss.svg"],
    "digits": ["loss.svg", "accuracy.svg"],
    "vae": ["loss.svg", "digits.svg"],
    "lstm_sine": ["loss.svg", "wave.svg"],
    "char_gpt": ["loss.svg"],
}


def run(name, *arguments, python=()):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(rushlight.__file__).parents[1]), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, *python, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_names_all_examples():
    assert set(PICTURES) == {path.stem for path in (ROOT / "examples").glob("*.py")} - {"support"}


@pytest.mark.parametrize("name", PICTURES)
def test_quick_run(name, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    run(name, "--quick", "--out", tmp_path, "--threads", 1, *(["--text", text] if name == "char_gpt" else []))
    for picture in PICTURES[name]:
        assert ET.parse(tmp_path / picture).getroot().tag.endswith("svg")


def test_xor_is_learnt(tmp_path):
    assert "4 of 4 right" in run("xor", "--out", tmp_path)


def test_a_resumed_run_ends_with_the_same_weights(tmp_path):
    import rushlight as torch

    settings = ["--epochs", 2, "--batch-size", 128]
    run("digits", *settings, "--out", tmp_path / "whole")
    run("digits", *settings, "--out", tmp_path / "parts", "--stop-after", 1)
    run("digits", *settings, "--out", tmp_path / "parts", "--resume", tmp_path / "parts" / "checkpoint.pt")
    whole, parts = (torch.load(tmp_path / folder / "checkpoint.pt") for folder in ("whole", "parts"))
    assert whole["history"] == parts["history"]
    for name, weight in whole["model"].items():
        assert torch.equal(weight, parts["model"][name]), name
