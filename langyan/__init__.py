"""The front door: the `langyan` command, and the demo that runs whole sites in one terminal."""
