"""The benchmark suites: `python -m benchmarks --help`. README.md in this folder says how to read and extend them."""
