"""`python -m batchsim`: the same as the `batchsim` command."""

from batchsim.cli import main

if __name__ == "__main__":
    main()
