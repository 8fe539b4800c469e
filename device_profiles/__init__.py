"""One device, one file: the model of a profile and of a site, their loaders and the register codec.

Pure but for reading files: no socket, clock or task.
"""
