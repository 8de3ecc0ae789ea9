// What can be measured of an operation, and the colours for it.

const LEVELS = 7;
const MEASURES = [
  {key: "seconds", name: "Time", unit: "s", adds: true},
  {key: "flops", name: "Floating-point operations", unit: "FLOP", adds: true},
  {key: "bytes", name: "Bytes moved", unit: "B", adds: true},
  {key: "saved_bytes", name: "Kept for backward", unit: "B", adds: true},
  {key: "roofline", name: "Share of the roofline", unit: "%", top: 1},
  {key: "gradient", name: "Norm of the gradient", unit: "", logarithmic: true, of: (node) => normOf(node.gradients[0])},
  {key: "values", name: "Norm of the numbers", unit: "", logarithmic: true, of: (node) => normOf(node.values[0])},
  {key: "zeros", name: "Share of zeros", unit: "%", top: 1, of: (node) => node.values[0]?.zeros},
];
const STATISTICS = [
  ["norm", "norm", ""], ["largest", "largest", ""], ["mean", "mean", ""], ["std", "deviation", ""],
  ["zeros", "zeros", "%"], ["dead", "dead units", "%"], ["nans", "NaN", "%"],
];

/** Return the norm of some numbers. That was taken of the finite ones: where there are NaNs, it says little. */
function normOf(found) {
  return Number(found?.nans) > 0 ? NaN : found?.norm;
}

/** Return what was measured of a node or group; undefined where nothing was. JSON has words for what is not finite. */
function measureOf(member, measure) {
  if (!measure.of) return member.measures[measure.key];
  const inner = (member.isGroup ? member.operations : [member]).map(measure.of).filter((value) => value !== undefined);
  return inner.length ? inner.map(Number).sort(greatestFirst)[0] : undefined;
}

/** Compare numbers: what is no number is as remarkable as the greatest, and comes before it. */
function greatestFirst(one, other) {
  if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(other) - Number.isNaN(one);
  return one === other ? 0 : other - one;
}

function measuresIn(model) {
  return MEASURES.filter((measure) => model.operations.some((node) => measureOf(node, measure) !== undefined));
}

/** Return what all operations have of a measure together; of time also what of a call belongs to none of them. */
function wholeOf(model, {key}) {
  return model.root.measures[key] + (key === "seconds" ? model.overhead ?? 0 : 0);
}

/** Return a line of the legend for what of a call belongs to no operation; none where that was not measured. */
function overheadOf(model, {key, unit}) {
  return key === "seconds" && model.overhead !== null ? [`call overhead ${textWithUnit(model.overhead, unit)}`] : [];
}

/** Return a function from values to levels of colour, and the values at the ends of the scale. */
function scaleOf(values, measure) {
  const known = values.filter((value) => Number.isFinite(value) && (!measure.logarithmic || value > 0));
  const greatest = measure.top ?? known.reduce((one, other) => Math.max(one, other), 0);
  const least = measure.logarithmic ? known.reduce((one, other) => Math.min(one, other), greatest) : 0;
  const place = measure.logarithmic ? Math.log : (value) => value;
  const width = place(greatest) - place(least) || 1;
  const level = (value) => {
    if (value === undefined) return null;
    const share = (place(Number(value)) - place(least)) / width;
    return Number.isNaN(share) ? LEVELS - 1 : Math.min(LEVELS - 1, Math.max(0, Math.floor(share * LEVELS)));
  };
  return {level, least, greatest};
}

/** Return a line of the legend: a small picture, and what it means. */
function keyOf(shape, look, text) {
  const svg = document.createElementNS(SVG, "svg");
  const drawn = document.createElementNS(SVG, shape);
  for (const [name, value] of Object.entries(look)) drawn.setAttribute(name, value);
  svg.append(drawn);
  return element("div", {class: "key"}, svg, text);
}

/** Return what the colours and lines of the graph mean. */
function keysOf(model) {
  const keys = model.legend.map(([text, fill, stroke, isRounded, isDashed]) => keyOf("rect", {
    x: 1, y: 1, width: 24, height: 12, rx: isRounded ? 4 : 0, fill, stroke, "stroke-dasharray": isDashed ? "4 2" : "none",
  }, text));
  if (model.edges.some(({kind}) => kind === "saved")) {
    keys.push(keyOf("line", {x1: 0, y1: 7, x2: 26, y2: 7, stroke: "#888888", "stroke-dasharray": "5 3"}, "saved for backward"));
  }
  return keys;
}

/** Colour the boxes in sight by a measure, and show the scale; without a measure, show what their own colours mean. */
function paint(stage, model, measure, legend) {
  for (const element of stage.boxes.values()) {
    element.classList.remove("unmeasured", ...Array.from({length: LEVELS}, (_, i) => `level${i}`));
  }
  if (!measure) {
    legend.replaceChildren(...keysOf(model));
    return;
  }
  const boxes = boxesOf(model);
  const {level, least, greatest} = scaleOf(boxes.map((box) => measureOf(box, measure)), measure);
  for (const box of boxes) {
    const found = level(measureOf(box, measure));
    stage.boxes.get(box.id)?.classList.add(found === null ? "unmeasured" : `level${found}`);
  }
  const steps = Array.from({length: LEVELS}, (_, i) => element("i", {class: `level${i}`}));
  const [low, high] = [least, greatest].map((value) => element("span", {}, textWithUnit(value, measure.unit)));
  const scale = element("div", {class: "scale"}, low, element("div", {class: "steps"}, ...steps), high);
  legend.replaceChildren(element("span", {}, measure.name + (measure.logarithmic ? ", logarithmic" : "")), scale,
                         ...overheadOf(model, measure).map((text) => element("span", {}, text)));
}
