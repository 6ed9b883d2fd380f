"""`python -m rushlight`: runs PyTorch scripts on Rushlight, and says what this installation is."""

from rushlight._runner.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
