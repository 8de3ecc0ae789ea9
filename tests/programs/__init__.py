"""Programs whose printed form is kept beside them; `python -m tests.programs` writes the texts anew."""
