"""The report of a run: reads a run directory, writes one page that needs nothing else.

Nothing is imported here: what draws loads matplotlib, which takes a second, and most commands draw nothing.
"""
