"""What Langyan promises, measured: `make bench` writes benchmarks/results/, with the command and the machine."""
