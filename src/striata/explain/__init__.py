"""Why this label: what each word adds to a label's score, and the training rows that lie nearest."""

from .methods import explain_texts

__all__ = ["explain_texts"]
