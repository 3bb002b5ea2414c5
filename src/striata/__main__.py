"""`python -m striata` is the command `striata`."""

from .cli import main

if __name__ == "__main__":
    main()
