"""Tabular benchmarks: the scores of trained architectures, looked up in a file. No torch needed."""

from mixop.tables.archives import convert_official
from mixop.tables.built import convert_built
from mixop.tables.conversion import convert
from mixop.tables.latency import AdditiveCost, Latencies, latencies
from mixop.tables.nasbench101 import convert_nasbench101
from mixop.tables.official import OfficialApi
from mixop.tables.plain import convert_csv, convert_npz
from mixop.tables.table import Best, SearchTable, Table
from mixop.tables.write import Column, write_table

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
    "convert_nasbench101",
    "convert_npz",
    "convert_official",
    "latencies",
    "write_table",
]
