"""`python -m striata` is the command `striata`."""

from .cli import main

main()
