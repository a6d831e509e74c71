"""`python -m htpo`, which torchrun needs."""

from htpo.cli import main

if __name__ == "__main__":
    main()
