// The DOT text of what is shown. How boxes and edges look was written down when the page was made.

const TEXTS_SHOWN = 8;
const MUCH = 2000;  // lengths of edges together, in boxes: from here on Graphviz takes long
const TOO_MUCH = 20000;

function dotOf(model) {
  const edges = ledEdges(model);
  const main = mainEdges(edges);
  return ["digraph {", ...model.head, ...limitStatements(model, edges), ...memberStatements(model), ...phasesInOrder(model),
          ...edges.map((edge) => edgeStatement(model, edge, main.has(edge))),
          ...guideStatements(model, edges), "}"].join("\n");
}

/** Return what keeps the layout of many long edges from taking minutes: fewer rounds, and in the end no curves. */
function limitStatements(model, edges) {
  const place = new Map(boxesOf(model).map((box, i) => [box, i]));
  const within = edges.filter((edge) => edge.tail.phase === edge.head.phase);
  const length = within.reduce((sum, edge) => sum + Math.abs(place.get(edge.head) - place.get(edge.tail)), 0);
  if (length < MUCH) return [];
  return [`graph [nslimit=1 nslimit1=1${length < TOO_MUCH ? "" : " splines=line"}]`];
}

/** Return the statements of boxes and areas, without recursion: modules nest as deep as they like. */
function memberStatements(model) {
  const lines = [];
  const waiting = [...model.root.members].reverse();
  while (waiting.length) {
    const member = waiting.pop();
    if (typeof member === "string") {
      lines.push(member);
    } else if (!isOpen(member)) {
      lines.push(member.statement);
    } else {
      if (member !== model.lane) {
        lines.push(`subgraph ${member.id} {`, ...member.area);
        waiting.push("}");
      }
      for (const inner of [...member.members].reverse()) waiting.push(inner);
    }
  }
  return lines;
}

/** Return what keeps the phases side by side in the order they ran: as `order_statements` in viz/dot.py. */
function phasesInOrder(model) {
  if (model.lane) return [];
  const points = model.lanes.map((lane) => (isOpen(lane) ? lane.anchor : lane.id));
  const row = points.map((point) => `above_${point}`);
  const {point: nothing, looks: {guide}} = model;
  return [`above [${nothing} ordering=out]`, ...row.map((above) => `${above} [${nothing} group=${above}]`),
          ...points.map((point, i) => `${point} [group=${row[i]}]`), ...row.map((above) => `above -> ${above} [${guide}]`),
          ...points.map((point, i) => `${row[i]} -> ${point} [${guide}]`),
          ...model.lanes.filter(isOpen).map((lane) => `${lane.anchor} -> ${topOf(model, lane).id} [${guide} minlen=2 weight=0]`)];
}

/** Return the box at the top of a phase. */
function topOf(model, lane) {
  const boxes = boxesOf(model).filter((box) => (box.isGroup || box.order >= 0) && isInside(box, lane));
  return boxes.at(lane.phase === "backward" ? -1 : 0) ?? {id: lane.anchor};
}

/** Return the edges from what ran last before a box: the road that is kept straight; of saved values, those that pull. */
function mainEdges(edges) {
  const latest = new Map();
  for (const edge of edges) {
    const isCrossing = edge.tail.phase !== edge.head.phase;
    if (edge.kind !== "saved" && (isCrossing || edge.kind || !(edge.tail.isGroup || edge.tail.order >= 0))) continue;
    const key = `${edge.head.id} ${edge.kind}`;
    const known = latest.get(key);
    if (!known || edge.tail.position > known.tail.position) latest.set(key, edge);
  }
  return new Set(latest.values());
}

function edgeStatement({looks}, edge, isMain) {
  const isCrossing = edge.tail.phase !== edge.head.phase;
  const attributes = [`tooltip="${tooltipOf(edge)}"`];
  if (edge.values > 1) attributes.push(`xlabel="${edge.values.toLocaleString("en")}×"`);
  if (edge.isSlow) attributes.push("class=slow");
  if (edge.kind === "saved") attributes.push(looks.saved, isMain ? looks.beside : looks.loose);
  else if (edge.kind) attributes.push(looks[edge.kind]);
  else if (isMain) attributes.push(looks.main);
  else if (isCrossing) attributes.push(looks.crossing);
  let [first, second] = [edge.tail, edge.head];
  if (!isCrossing && edge.tail.phase === "backward") {
    [first, second] = [second, first];
    attributes.push(looks.backward);
  }
  return `${first.id} -> ${second.id} [${attributes.join(" ")}]`;
}

/** Return what an edge carries, as it stands in a quoted text of DOT. */
function tooltipOf(edge) {
  const more = edge.texts.length - TEXTS_SHOWN;
  const texts = [...edge.texts.slice(0, TEXTS_SHOWN), ...(more > 0 ? [`and ${more} more`] : [])];
  return texts.join("\n").replaceAll("&", "&amp;").replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function guideStatements(model, edges) {
  const joined = new Set(edges.flatMap(({tail, head}) => [`${tail.id} -> ${head.id}`, `${head.id} -> ${tail.id}`]));
  const lines = [];
  for (const [first, second] of model.guides) {
    const one = boxOf(first), other = boxOf(second);
    const pair = `${one.id} -> ${other.id}`;
    if (one === other || joined.has(pair)) continue;
    joined.add(pair);
    joined.add(`${other.id} -> ${one.id}`);
    lines.push(`${pair} [${model.looks.guide}]`);
  }
  return lines;
}
