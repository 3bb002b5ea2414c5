"""From a data file to the best classifier in minutes: what to train is decided from the rows, the encoder and the time."""
