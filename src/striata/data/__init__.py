"""Labelled texts: read, checked, split, counted, tokenized. No torch."""

from .audit import Audit, audit_data
from .columns import Columns
from .dialect import Dialect
from .frames import texts_alone
from .read import Stream, read_table, read_texts
from .readers import check_source, open_source
from .splits import Splits, encode_labels, label_order, load_splits, stratified_parts
from .table import Table
from .tokens import Encoded, Tokenizer

__all__ = [
    "Audit", "Columns", "Dialect", "Encoded", "Splits", "Stream", "Table", "Tokenizer", "audit_data", "check_source",
    "encode_labels", "label_order", "load_splits", "open_source", "read_table", "read_texts", "stratified_parts", "texts_alone",
]  # fmt: skip
