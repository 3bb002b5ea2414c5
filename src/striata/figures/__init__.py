"""Numbers of predictions: scores, intervals, folds. Arrays in, numbers out; no torch."""
