"""Where the results were measured."""

import importlib.metadata
import os
import platform
import subprocess

# What a reader compares instruction sets by; of the flags that the kernel reports.
ISA = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile", "asimd", "sve")


def describe(libraries):
    cpu = fields("lscpu")
    return {
        "cpu": cpu.get("Model name", platform.processor() or platform.machine()),
        "cores": len(os.sched_getaffinity(0)),
        "isa": [flag for flag in ISA if flag in cpu.get("Flags", "").split()],
        "caches": {level: cpu[f"{level} cache"] for level in ("L1d", "L2", "L3") if f"{level} cache" in cpu},
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "os": f"{platform.system()} {platform.release()}, {system_name()}",
        "python": platform.python_version(),
        **{library: version(library) for library in libraries},
    }


def fields(command):
    """What a command prints as `name: value` lines."""
    try:
        text = subprocess.run([command], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    except FileNotFoundError:
        return {}
    return {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


def system_name():
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.platform()


def version(library):
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "development"
