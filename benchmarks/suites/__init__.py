"""The suites: each module has `cases()`, in the order of the report."""
