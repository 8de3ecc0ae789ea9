"""`python -m autodiff`: the command `autodiff`."""

import sys

from autodiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
