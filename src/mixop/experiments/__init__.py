"""Experiments of the literature, each with the pattern that it reports, the rule by which the pattern shows, and its page."""
