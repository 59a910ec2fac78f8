"""The vocabulary: what every part of ondol names in the same way.

Values only. Nothing here reads a clock, a file or a socket, and nothing here knows a service.
"""
