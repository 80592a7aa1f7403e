"""Stub reproduce.  (~1 second)

x
"""

print(1)
