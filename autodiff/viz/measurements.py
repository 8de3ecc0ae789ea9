"""What the columns of a program say, put on the nodes of its graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from autodiff.program import Program, Record
from autodiff.program_columns import slowest_path, statistics
from autodiff.viz.graph import MODULE, OPERATION, Graph, Node


class Measurements:
    """The measurements of a program: `fill` puts them on nodes.

    Args:
        program: with columns; see `autodiff.program_columns`.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.records = {record: number for number, record in enumerate(program)}
        self.columns = program.columns
        values = program.columns.get("values")
        self.values = values
        self.gradients: dict[Any, dict[str, float]] = {}
        self.orders: dict[Any, int] = {}
        for number, pairs in enumerate(program.columns.get("gradient_of", ()) if values is not None else ()):
            for index, target in pairs:
                assert values is not None
                key = target if type(target) is tuple else id(target)
                self.gradients[key], self.orders[key] = values[number][index], number

    def fill(
        self, graph: Graph, owner: Mapping[Record, Node], leaves: Mapping[int, list[tuple[Node, Any]]]
    ) -> None:
        """Put measures and statistics on nodes.

        Args:
            graph: the graph of the program.
            owner: the node of each record.
            leaves: nodes of each leaf, by its id, with the leaf.
        """
        inside: dict[Node, list[Record]] = defaultdict(list)
        for record, node in owner.items():
            inside[node].append(record)
        for node, records in inside.items():
            node.measures = self._measures(records)
            outputs = [(record, i) for record in records for i in range(len(record.outputs))]
            if self.values is not None and (node.kind == MODULE or len(outputs) == len(node.specs)):
                node.values = [self.values[self.records[record]][i] for record, i in outputs]
                node.gradients = [self.gradients.get(value) for value in outputs]
                node.gradient_order = max((self.orders.get(value, -1) for value in outputs), default=-1)
        if "seconds" in self.columns:
            self._fill_path(graph, owner)
        if self.values is not None:
            for key, drawn in leaves.items():
                for node, leaf in drawn:
                    node.values = [{} if leaf.array is None else statistics(leaf.array)]
                    node.gradients, node.gradient_order = [self.gradients.get(key)], self.orders.get(key, -1)

    def _fill_path(self, graph: Graph, owner: Mapping[Record, Node]) -> None:
        """Note the slowest path of the program, so that it is the same at every depth."""
        graph.slowest, path = slowest_path(self.program)
        parts: dict[int, list[Node]] = defaultdict(list)  # of an operation that was fused, where these are shown
        for node in graph.nodes:
            if node.kind == OPERATION:
                parts[node.order].append(node)
        for place, record in enumerate(path):
            node = owner[record]
            for one in parts[node.order] if node.kind == OPERATION else [node]:
                one.on_path.append(place)

    def _measures(self, records: list[Record]) -> dict[str, float]:
        """Return the sums over records; the share of the roofline is that of their times."""
        sums: dict[str, float] = defaultdict(float)
        for record in records:
            if getattr(record.primitive, "cost", None) is not None:
                flops, moved = record.cost
                sums["flops"] += flops
                sums["bytes"] += moved
            for name in ("seconds", "saved_bytes"):
                measured = self._entry(name, record)
                if measured is not None:
                    sums[name] += measured
            share, seconds = self._entry("roofline", record), self._entry("seconds", record)
            if share is not None and seconds:
                sums["roofline"] += share * seconds
        if "roofline" in sums:
            sums["roofline"] /= sums["seconds"]
        return dict(sums)

    def _entry(self, name: str, record: Record) -> Any:
        column = self.columns.get(name)
        return None if column is None else column[self.records[record]]
