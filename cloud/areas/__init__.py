"""Areas: the tree from grid to province, who is on duty in it, what must happen there, and what stands where."""
