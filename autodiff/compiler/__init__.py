"""Recorded once, replayed natively: what stands behind `autodiff.compile`.

tracer (what ran) -> program (instructions on memory) -> passes -> arena -> lowering -> replay.
"""
