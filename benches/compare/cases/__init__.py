"""The cases, one file per group; `compare.registry` says how they are written and in which order they are reported."""
