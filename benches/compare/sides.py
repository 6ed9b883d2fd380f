"""The processes of the two libraries, as the driver sees them."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

LIBRARIES = ("torch", "rushlight")
# Seconds after which a case that gives no answer is given up.
LIMIT = 600


def environment(threads):
    """The environment of a worker: its number of threads, and where to find this package."""
    places = [Path(__file__).resolve().parent.parent, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(p) for p in places),
        # One process compiles: what several would use could not be told from what else the machine does.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RUSHLIGHT_NUM_THREADS"), str(threads)),
    }


def spawn(module, *arguments, threads, stderr):
    """A process that runs `compare.<module>` and talks in lines of JSON."""
    command = [sys.executable, "-P", "-m", f"compare.{module}", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, env=environment(threads))


class Side:
    """One library at one number of threads; its process starts at the first question, and again after it died."""

    def __init__(self, library, threads):
        self.library, self.threads = library, threads
        self.process = None
        self.log = tempfile.TemporaryFile("w+")

    def ask(self, **request):
        """The answer to a request: a dict with `ns`, or with `error`."""
        if self.process is None:
            self.process = spawn("worker", self.library, self.threads, threads=self.threads, stderr=self.log)
        alarm = threading.Timer(LIMIT, self.process.kill)
        alarm.start()
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            alarm.cancel()
        return json.loads(line) if line else self.died()

    def died(self):
        status = self.process.wait()
        self.process = None
        self.log.seek(0)
        said = self.log.read().strip().splitlines()
        return {"error": f"the process ended with status {status}" + (f": {said[-1]}" if said else "")}

    def resident(self):
        """Bytes of memory that the process holds; 0 where the system does not say."""
        try:
            with open(f"/proc/{self.process.pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError):
            return 0

    def stop(self):
        """Ends the process; the next question starts another."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process.stdout.close()
            self.process = None
