"""How a search is laid out for the time and the data that it has."""
