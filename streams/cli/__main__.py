"""`python -m streams.cli`, for where the `forewarn` script is not on the path."""

from streams.cli import main

if __name__ == "__main__":
    main()
