"""`python -m rushlight run`: scripts see Rushlight as torch, and otherwise what Python gives them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rushlight

PACKAGE = Path(rushlight.__file__).parents[1]  # where the package under test lies, installed or not


def run(*arguments, cwd):
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")]))
    return subprocess.run([sys.executable, "-m", "rushlight", *map(str, arguments)], cwd=cwd, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def same_as_python(path, *arguments, prefix=()):
    """Runs a script that needs no torch by Python and by the runner: output, errors and exit code must agree."""
    plain = subprocess.run([sys.executable, *prefix, str(path), *arguments], cwd=path.parent if not prefix else ".", capture_output=True, text=True)
    ours = run("run", *prefix, path, *arguments, cwd=path.parent if not prefix else ".")
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)
    return ours


def test_modules_are_rushlights_own(tmp_path):
    script = write(
        tmp_path / "a.py",
        """
import sys
import torch
import torch.nn.functional as F
import torch.utils.data
from torch import nn
from torch.nn import Linear
from torch.optim.lr_scheduler import StepLR
import rushlight
assert torch is rushlight and sys.modules["torch"] is sys.modules["rushlight"]
assert sys.modules["torch.nn"] is sys.modules["rushlight.nn"] is nn
assert F is rushlight.nn.functional and torch.utils.data is rushlight.utils.data
assert Linear is rushlight.nn.Linear and torch.Tensor is rushlight.Tensor
assert StepLR is rushlight.optim.lr_scheduler.StepLR
assert torch.cuda is sys.modules["torch.cuda"] is sys.modules["rushlight.cuda"]
assert rushlight.nn.__name__ == rushlight.nn.__spec__.name == "rushlight.nn"
print(F.relu(torch.tensor([-1.0, 2.0])).sum().item())
""",
    )
    done = run("run", script, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("2.0\n", "", 0)


def test_a_script_sees_what_python_gives_it(tmp_path):
    write(tmp_path / "neighbour.py", "name = 'imported from the folder of the script'\n")
    script = write(
        tmp_path / "b.py",
        """
import sys, atexit, neighbour
import __main__
atexit.register(print, "at exit")
print(__name__, __file__, sys.argv, sys.path[0], neighbour.name, __spec__, __package__, __builtins__)
assert __main__.sys is sys and sys.modules["__main__"] is __main__ and vars(__main__) is globals()
""",
    )
    same_as_python(script, "--epochs", "3", "-m", "--help")


def test_errors_look_as_pythons(tmp_path):
    same_as_python(write(tmp_path / "c.py", "def f():\n    return 1 / 0\n\nf()\n"))
    same_as_python(write(tmp_path / "d.py", "x = = 1\n"))
    same_as_python(write(tmp_path / "e.py", "try:\n    {}['a']\nexcept KeyError:\n    raise ValueError('b')\n"))
    same_as_python(write(tmp_path / "f.py", "import sys\nsys.excepthook = lambda kind, error, trace: print(kind, error, trace.tb_lineno)\nraise OSError('x')\n"))


def test_exit_codes_are_kept(tmp_path):
    for i, body in enumerate(["import sys; sys.exit(7)", "raise SystemExit", "raise SystemExit('a message')", "import os; os._exit(9)"]):
        same_as_python(write(tmp_path / f"g{i}.py", body + "\n"))
    interrupted = same_as_python(write(tmp_path / "h.py", "raise KeyboardInterrupt\n"))
    assert interrupted.returncode == -signal.SIGINT


def test_modules_run_by_name(tmp_path):
    body = "import sys; print(__name__, __file__, __package__, __spec__.name, sys.argv[1:], sys.path[0] != '')\n"
    write(tmp_path / "program" / "__init__.py", "")
    write(tmp_path / "program" / "__main__.py", body)
    write(tmp_path / "program" / "part.py", body)
    for name in ("program", "program.part"):
        ours = run("run", "-m", name, "--lr", "0.1", cwd=tmp_path)
        plain = subprocess.run([sys.executable, "-m", name, "--lr", "0.1"], cwd=tmp_path, capture_output=True, text=True)
        assert (ours.stdout, ours.stderr, ours.returncode) == (plain.stdout, plain.stderr, plain.returncode)
    assert "no module named nothing_here" in run("run", "-m", "nothing_here", cwd=tmp_path).stderr


def test_missing_names_are_named_as_pytorchs(tmp_path):
    script = write(
        tmp_path / "i.py",
        """
import torch, torchvision
for code in ["torch.reluu", "torch.nn.Lineer", "import torch.nothing", "from torch import nothing", "import torch.nn.nothing", "import torchvision.nothing"]:
    try:
        exec(code)
    except (AttributeError, ImportError) as error:
        print(type(error).__name__, error)
print(hasattr(torch, "nothing"), hasattr(torch.nn, "__nothing__"))
from torch.nn.functional import reluu
""",
    )
    done = run("run", script, cwd=tmp_path)
    lines = done.stdout.splitlines()
    starts = [
        "AttributeError torch.reluu is missing in Rushlight; near it are relu",
        "AttributeError torch.nn.Lineer is missing in Rushlight; near it are Linear",
        "ModuleNotFoundError torch.nothing is missing in Rushlight",
        "ModuleNotFoundError torch.nothing is missing in Rushlight",
        "ModuleNotFoundError torch.nn.nothing is missing in Rushlight",
        "ModuleNotFoundError torchvision.nothing is missing in Rushlight",
        "False False",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts):
        assert line.startswith(start)
        assert "Error" not in line or "docs/coverage.md" in line
    assert done.returncode == 1
    assert done.stderr.splitlines()[1].strip() == f'File "{script}", line 9, in <module>'
    assert done.stderr.splitlines()[-1].startswith("torch.nn.functional.reluu is missing in Rushlight; near it are relu")


def test_torch_is_not_aliased_without_the_runner():
    code = "import sys, rushlight; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


TRAINING = """
import argparse
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv = nn.Conv2d(1, 4, 3, 1)
        self.dropout = nn.Dropout(0.25)
        self.fc = nn.Linear(36, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return F.log_softmax(self.fc(torch.flatten(self.dropout(x), 1)), dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--save")
    args = parser.parse_args()
    torch.manual_seed(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    y = torch.randint(0, 3, (50,))
    x = torch.randn(50, 1, 8, 8) + y[:, None, None, None]
    loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True)
    model = Net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in range(args.epochs):
        model.train()
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            optimizer.zero_grad()
            loss = F.nll_loss(model(data), target)
            loss.backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        with torch.no_grad():
            right = model(x).argmax(dim=1, keepdim=True).eq(y[:, None]).sum().item()
        print(f"epoch {epoch}: loss {loss.item():.4f}, right {right}, lr {scheduler.get_last_lr()[0]:.4f}")
    if args.save:
        torch.save(model.state_dict(), args.save)
        model.load_state_dict(torch.load(args.save))


if __name__ == "__main__":
    main()
"""


def test_a_training_script_prints_what_it_prints_with_torch(tmp_path):
    pytest.importorskip("torch")
    script = write(tmp_path / "train.py", TRAINING)
    ours = run("run", script, "--epochs", 3, "--save", tmp_path / "a.pt", cwd=tmp_path)
    theirs = subprocess.run([sys.executable, script, "--epochs", "3"], cwd=tmp_path, capture_output=True, text=True)
    assert theirs.returncode == 0, theirs.stderr
    assert (ours.stdout, ours.stderr) == (theirs.stdout, "")


def test_usage_and_info(tmp_path):
    assert "run a PyTorch script" in run(cwd=tmp_path).stdout
    info = run("info", cwd=tmp_path).stdout
    assert "threads:" in info and "python:" in info
    missing = run("run", "nowhere.py", cwd=tmp_path)
    assert missing.returncode == 2 and "cannot open 'nowhere.py': no such file" in missing.stderr
