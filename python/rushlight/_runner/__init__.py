"""`python -m rushlight run script.py`: a script written for PyTorch, run on Rushlight unchanged.

`alias` makes `torch` and `torchvision` name Rushlight's modules in this process, `script` runs a program as Python itself would,
`missing` words the errors about names that Rushlight lacks, `cli` is the command line.
"""
