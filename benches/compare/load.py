"""How busy the machine is with something else: times taken meanwhile are not worth much, most of all with several threads."""

import os
from pathlib import Path
from time import perf_counter

# A row during which other processes used more than this many cores is marked.
DISTURBING = 0.15
TICK = os.sysconf("SC_CLK_TCK")


class Others:
    """The processor time of everything but this process and its children: those that have ended, and those whose ids `ours` gives."""

    def __init__(self, ours=list):
        self.ours = ours
        self.last = self.now()

    def now(self):
        try:
            fields = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]))
        except OSError:
            return perf_counter(), 0.0
        # user, nice, system, then irq, softirq and steal: all but idle and waiting.
        busy = sum(fields[:3]) + sum(fields[5:8])
        return perf_counter(), (busy - sum(map(used, (os.getpid(), *self.ours())))) / TICK

    def cores(self):
        """The number of cores they kept busy since the last question; None where the system does not say."""
        (before, busy_before), self.last = self.last, self.now()
        now, busy = self.last
        return round(max(busy - busy_before, 0.0) / (now - before), 2) if busy else None


def used(pid):
    """Processor time in ticks, with that of children that have ended; 0 for a process that has ended itself."""
    try:
        # The name, in parentheses, may contain spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15]))


def disturbed(entry):
    """Whether other processes were busy while an entry of the results was measured."""
    return (entry.get("others") or 0.0) > DISTURBING
