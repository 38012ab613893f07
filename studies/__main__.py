"""`python -m studies` is `studies`."""

from studies.cli import main

if __name__ == "__main__":
    main()
