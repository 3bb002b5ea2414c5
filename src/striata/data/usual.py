"""What columns are usually called."""

from __future__ import annotations

import re

# Names of the first line before those of the second: `title` is the text only where there is no `text`.
TEXT = (
    ("text", "sentence", "content", "document", "review"),
    (
        "tweet", "comment", "comment_text", "message", "utterance", "review_text", "body", "post", "sms", "query", "article",
        "news", "statement", "full_text", "tweet_text", "clean_text", "texts", "review_body", "email", "prompt",
    ),
    ("headline", "title", "description", "abstract", "summary", "subject", "question", "sentence1", "premise"),
)  # fmt: skip
LABEL = (
    ("label", "labels", "category", "class", "target", "topic"),
    (
        "sentiment", "intent", "y", "stars", "rating", "tag", "emotion", "polarity", "label_text", "label_name", "gold_label",
        "class_label", "class_name", "sentiment_label", "airline_sentiment", "overall", "classification", "cls", "categories",
        "coarse_label", "genre", "spam", "flair", "star_rating", "review_rating", "review_stars",
    ),
)  # fmt: skip
NUMBER = (
    *LABEL,
    (
        "score", "similarity", "similarity_score", "relatedness", "relatedness_score", "value", "number", "price", "points",
        "grade", "intensity", "difficulty", "readability", "overall_score",
    ),
)  # fmt: skip
_TRUTH = re.compile(r"is_[a-z0-9_]+")  # is_sarcastic, is_duplicate
PAIR_OF = {
    "text_pair": ("text",),
    "text2": ("text1",),
    "text_b": ("text_a",),
    "sentence2": ("sentence1", "sentence"),
    "sentence_b": ("sentence_a",),
    "question2": ("question1",),
    "sentence": ("question",),
    "passage": ("question",),
    "answer": ("question",),
    "hypothesis": ("premise",),
}
ROW_NAMES = ("", "id", "idx", "index", "ids", "guid", "unnamed:_0", "row", "row_id", "uid", "_id")
USUAL = frozenset(
    [*(name for names in (*TEXT, *LABEL) for name in names), *PAIR_OF, *(name for names in PAIR_OF.values() for name in names)]
)  # fmt: skip


def normal(name: str) -> str:
    """A column's name without capitals, with `_` for spaces and hyphens."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def is_truth(name: str) -> bool:
    """Whether a normal name says that a column holds true or false: is_sarcastic."""
    return _TRUTH.fullmatch(name) is not None
