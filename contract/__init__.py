"""What crosses the wire between gateway and cloud: messages, topics and codecs.

Pure: bytes in, values out; no socket, clock, task or log. Standard library and msgspec only.
"""
