"""The reasons in `causes.toml` for what falls short."""

import re
import tomllib
from pathlib import Path


def read(path=Path(__file__).with_name("causes.toml")):
    with open(path, "rb") as file:
        return [(re.compile(entry["case"]), entry["text"]) for entry in tomllib.load(file)["cause"]]


def of(case, causes):
    """The first that fits, or nothing."""
    return next((text for pattern, text in causes if pattern.search(case)), "")
