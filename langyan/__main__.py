"""`python -m langyan`, the same as `langyan`."""

from langyan.cli import main

main()
