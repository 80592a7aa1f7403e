"""Stub own_scheme.  (~1 second)

x
"""

print(1)
