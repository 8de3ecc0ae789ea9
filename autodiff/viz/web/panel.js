// The panel beside the graph: what is known of the selected box, or of the whole graph.

const LINKS_SHOWN = 12;
const RANKS_SHOWN = 10;
const UNMEASURED = "No numbers were measured. The command's --profile measures times, and statistics of values and gradients, "
  + "which appear as the program is played; in Python, draw(..., overlay=\"seconds\") or overlay=\"values\" does.";

/** Return a panel that shows a node, a group, or without one the whole graph. */
function makePanel(panel, model, {onGo, onToggle}) {
  function link(member, text = pathOf(model, member)) {
    // A long path breaks behind its dots.
    const parts = text.split(/(?<=\.)/).flatMap((part) => [part, element("wbr")]);
    return element("button", {class: "link", type: "button", onclick: () => onGo(member)}, ...parts);
  }

  function section(title, ...content) {
    return [element("h3", {}, title), ...content];
  }

  /** Return rows of a name and values. */
  function table(rows, heads = []) {
    const head = heads.length ? [element("tr", {}, ...["", ...heads].map((text) => element("th", {scope: "col"}, text)))] : [];
    return element("table", {}, ...head, ...rows.map(([name, ...cells]) => element(
      "tr", {}, element("th", {scope: "row"}, name), ...cells.map((cell) => element("td", {}, cell)))));
  }

  function measures(member) {
    const rows = model.overlays.filter(({of, key}) => of === "measures" && member.measures[key] !== undefined).map((measure) => {
      const value = member.measures[measure.key];
      const whole = measure.adds ? wholeOf(model, measure) : 0;
      const share = member === model.root ? [] : [whole ? textOfShare(value / whole) : ""];
      return [capitalized(measure.title), textWithUnit(value, measure.unit), ...share];
    });
    const time = model.overlays.find(({key}) => key === "seconds");
    if (member === model.root && model.overhead !== null) {
      rows.splice(1, 0, ["Call overhead", textWithUnit(model.overhead, time.unit)],
                  ["Time of a call", textWithUnit(wholeOf(model, time), time.unit)]);
    }
    return rows.length ? section("Measured", table(rows)) : [];
  }

  /** Return the statistics of outputs and of their gradients, as far as the program was played. */
  function statistics(node, reached) {
    const columns = [];
    node.values.forEach((found, i) => {
      const number = node.values.length > 1 ? ` ${i}` : "";
      columns.push([`output${number}`, reached.values ? found : null]);
      if (node.gradients[i]) columns.push([`gradient${number}`, reached.gradients ? node.gradients[i] : null]);
    });
    if (!columns.length) return [];
    const rows = STATISTICS.filter(([key]) => columns.some(([, found]) => found?.[key] !== undefined))
      .map(([key, name, unit]) => [name, ...columns.map(([, found]) =>
        (found?.[key] === undefined ? "…" : textWithUnit(found[key], unit)))]);
    const isBroken = columns.some(([, found]) => Number(found?.nans) > 0);
    return section("Numbers", element("div", {class: "scroll"}, table(rows, columns.map(([name]) => name))),
                   ...(isBroken ? [element("p", {class: "warning"}, "There are NaNs in it.")] : []));
  }

  function source(node) {
    if (!node.source.length) return [];
    const lines = node.source.map(([number, text]) => element(
      "span", {class: number === node.line ? "here" : null}, element("i", {}, String(number)), text));
    return section(`${node.file}:${node.line}`, element("pre", {class: "source", tabindex: "0"}, ...lines));
  }

  function neighbours(title, edges, side) {
    if (!edges.length) return [];
    const items = edges.map((edge) => element("li", {}, link(edge[side]), ` ${edge.label ?? edge.text}`));
    const shown = items.splice(0, LINKS_SHOWN);
    const list = element("ul", {}, ...shown);
    if (items.length) {
      const more = element("button", {class: "link", type: "button", onclick: () => {
        more.remove();
        list.append(...items);
      }}, `${items.length} more`);
      return section(title, list, more);
    }
    return section(title, list);
  }

  /** Return the edges that enter or leave a group, one for each node outside. */
  function crossing(group, side) {
    const found = new Map();
    const inside = (node) => node === group || isInside(node, group);
    for (const edge of model.edges) {
      const [other, own] = side === "tail" ? [edge.tail, edge.head] : [edge.head, edge.tail];
      if (inside(own) && !inside(other)) found.set(other, {...edge, label: edge.text});
    }
    return [...found.values()];
  }

  function heading(member, ...notes) {
    const path = pathOf(model, member);
    return [element("h2", {}, member.title), ...(path === member.title ? [] : [element("p", {class: "faint"}, path)]),
            ...notes.map((note) => element("p", {}, note))];
  }

  /** Return what is to be known of a box that stands for several equal ones. */
  function ofCopies({copies}) {
    const text = `Stands for ${copies} equal ones. Measurements are those of all together, numbers and lines those of the first.`;
    return copies > 1 ? [element("p", {class: "faint"}, text)] : [];
  }

  function ofNode(node, reached) {
    const about = node.order >= 0 ? `operation ${node.number} of ${model.operations.length}, ${node.phase}` : node.kind;
    const kind = [about, node.change].filter(Boolean).join(", ");
    return [
      ...heading(node), element("p", {class: "faint"}, kind), ...node.shapes.map((shape) => element("p", {}, shape)),
      ...node.notes.map((note) => element("p", {class: "faint"}, note)),
      ...ofCopies(node.parent),
      ...measures(node), ...statistics(node, reached), ...source(node),
      ...neighbours("Reads", node.makers, "tail"), ...neighbours("Is read by", node.readers, "head"),
    ];
  }

  function ofGroup(group) {
    const toggle = group === model.lane ? [] : [element(
      "p", {}, element("button", {type: "button", onclick: () => onToggle(group.id)}, isOpen(group) ? "Fold" : "Open"))];
    const inner = group.members.filter((member) => member.isGroup || member.order >= 0);
    return [
      ...heading(group, [group.module, textOfCount(countOf(group.operations), "operation")].filter(Boolean).join(", ")),
      ...toggle, ...ofCopies(group), ...measures(group),
      ...neighbours("Holds", inner.map((member) => ({member, label: ""})), "member"),
      ...neighbours("Reads", crossing(group, "tail"), "tail"),
      ...neighbours("Is read by", crossing(group, "head"), "head"),
    ];
  }

  function ofGraph(measure) {
    const isLackingNumbers = !model.differences.length && !model.nodes.some((node) => node.values.length);
    // A module that is a single operation is no group: its name stands on the operation.
    const called = model.groups.filter((group) => group.phase === "forward" && group.depth > 1 && !group.bundle && group.module);
    const modules = countOf(called) + countOf(model.operations.filter((node) => node.phase === "forward" && node.place));
    const counts = [textOfCount(countOf(model.operations), "operation"),
                    ...(modules ? [`${textOfCount(modules, "module")} called`] : [])];
    return [element("h2", {}, model.title || "Graph"), element("p", {}, counts.join(", ")),
            ...model.remarks.map((remark) => element("p", {}, remark)),
            element("p", {class: "faint"}, "Click a box to see what it is; double-click a module to open it."),
            ...(isLackingNumbers ? [element("p", {class: "faint"}, UNMEASURED)] : []),
            ...measures(model.root), ...(measure ? ranking(measure) : [])];
  }

  function ranking(measure) {
    const known = model.operations.map((node) => [node, measureOf(node, measure)]).filter(([, value]) => value !== undefined)
      .sort(([, one], [, other]) => greatestFirst(Number(one), Number(other))).slice(0, RANKS_SHOWN);
    const rows = known.map(([node, value]) => [link(node), textWithUnit(value, measure.unit)]);
    return section(`Greatest: ${measure.title}`, table(rows));
  }

  function show(member, {reached, measure}) {
    panel.replaceChildren(...(!member || member === model.root ? ofGraph(measure)
      : member.isGroup ? ofGroup(member) : ofNode(member, reached)));
  }

  return {show};
}
