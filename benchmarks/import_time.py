"""How much longer `import autodiff` takes than `import numpy`: new processes, taking turns.

    python benchmarks/import_time.py [--rounds N]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time


def seconds(statement: str) -> float:
    """Return how long a new Python takes to run `statement`."""
    # As users run Python: with its compiled files on disk.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    seconds("import autodiff")  # writes them
    pairs = [(seconds("import numpy"), seconds("import autodiff")) for _ in range(rounds)]
    extra = [ours - numpy for numpy, ours in pairs]
    print(f"import numpy {statistics.median(p[0] for p in pairs):.3f} s, import autodiff "
          f"{statistics.median(p[1] for p in pairs):.3f} s, difference {statistics.median(extra):.3f} s (limit 0.15 s)")


if __name__ == "__main__":
    main()
