"""A harness that times the same programs with PyTorch and with Rushlight.

* `registry`: what a case is; `cases/`: the cases, one file per group; `models`: the networks that several groups share.
* `worker`: the process of one library at one number of threads; `sides`: such processes as the driver sees them.
* `timing`: who runs when; `memory`, `imports`, `contention`: what is not a time per call.
* `results`: what was measured, as JSON; `table`: for the terminal; `page`: for `docs/performance.md`, with the reasons in `causes.toml`;
  `machine`, `load`: where it was measured, and how busy that was.
* `options`: the command line.
"""
