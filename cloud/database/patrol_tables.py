"""The tables of patrols: points, routes, plans, tours and visits."""
