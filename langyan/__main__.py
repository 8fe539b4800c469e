"""`python -m langyan`, the same as `langyan`."""

from langyan.entry import main

main()
