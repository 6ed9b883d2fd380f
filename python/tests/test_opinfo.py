"""PyTorch's operator database, with a list of known gaps that may only shrink."""

import pytest

pytest.importorskip("torch")
for _package in ("scipy", "expecttest", "hypothesis"):
    pytest.importorskip(_package, reason=f"PyTorch's operator database needs {_package}")

import opinfo  # noqa: E402

GAPS = opinfo.known_gaps()


@pytest.mark.parametrize("name", sorted(opinfo.OPERATORS))
def test_operator(name):
    passed, failed = opinfo.shortcomings(opinfo.OPERATORS[name])
    if name in GAPS:
        assert failed, f"{name} agrees with PyTorch on every sample now: take it off opinfo_gaps.txt"
        return
    assert not failed, "\n".join(failed)


def test_the_list_names_operators():
    assert not set(GAPS) - set(opinfo.OPERATORS)
