"""The command line of `python -m rushlight`."""

import argparse
import os


def parser():
    """The commands `run` and `info`."""
    top = argparse.ArgumentParser(prog="python -m rushlight", description="Rushlight, a deep learning library with PyTorch's semantics.")
    commands = top.add_subparsers(title="commands", dest="command")
    run = commands.add_parser(
        "run",
        usage="python -m rushlight run [-h] (script.py | -m module) ...",
        help="run a PyTorch script on Rushlight, unchanged",
        description="Runs a script written for PyTorch: in this process, `torch` and `torchvision` are Rushlight.",
    )
    run.add_argument("-m", dest="module", action="store_true", help="run a module, as python -m does")
    run.add_argument("target", metavar="script.py", help="the script, or with -m the module")
    run.add_argument("arguments", metavar="...", nargs=argparse.REMAINDER, help="what the script gets as its arguments")
    commands.add_parser("info", help="print versions, threads and optional packages")
    return top


def main(arguments=None):
    """Runs one command; returns the exit code."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command is None:
        top.print_help()
    elif options.command == "info":
        info()
    else:
        from . import script

        if not options.module and not os.path.isfile(options.target):
            top.exit(2, f"{top.prog}: cannot open {options.target!r}: {'it is a folder' if os.path.isdir(options.target) else 'no such file'}\n")
        run = script.run_module if options.module else script.run_script
        run(options.target, options.arguments)
    return 0


def info():
    """Prints what a report about a problem should hold."""
    import platform
    from importlib.util import find_spec

    import rushlight

    optional = [name for name in ("numpy", "PIL") if find_spec(name)]
    rows = {
        "rushlight": f"{rushlight.__rushlight_version__}, after PyTorch {rushlight.__version__}",
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": f"{platform.system()} {platform.machine()}",
        "threads": rushlight.get_num_threads(),
        "ops": len(rushlight._C.functions),
        "optional packages": ", ".join(optional) or "none of numpy, PIL",
        "devices": "cpu",
        "installed in": os.path.dirname(rushlight.__file__),
    }
    for name, value in rows.items():
        print(f"{name + ':':<18} {value}")
