"""Tabular benchmarks: what trained architectures reach, looked up in a file; importing them needs no torch."""

from mixop.benchmarks.archives import convert_official
from mixop.benchmarks.conversion import convert
from mixop.benchmarks.latency import AdditiveCost, Latencies, latencies
from mixop.benchmarks.layout import Column, write_table
from mixop.benchmarks.official import OfficialApi
from mixop.benchmarks.plain import convert_built, convert_csv, convert_npz
from mixop.benchmarks.table import Best, SearchTable, Table

__all__ = [
    "AdditiveCost",
    "Best",
    "Column",
    "Latencies",
    "OfficialApi",
    "SearchTable",
    "Table",
    "convert",
    "convert_built",
    "convert_csv",
    "convert_npz",
    "convert_official",
    "latencies",
    "write_table",
]
