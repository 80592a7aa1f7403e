"""A network worth keeping in a given time: known good networks first, then a search, then the best of them trained."""
