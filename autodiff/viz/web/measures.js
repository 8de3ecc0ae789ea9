// What can be measured of an operation, and the colours for it.

const LEVELS = 7;
const ARROWS = [  // that are no plain ones: kinds, meaning, colour and dashes
  [["saved"], "saved for backward", "#888888", "5 3"], [["removed", "before"], "read no longer", "#d55e00", "2 3"],
  [["again"], "to the next of equal ones", "#444444", "2 3"],
];
const STATISTICS = [  // of a tensor: key, name, unit, and whether its arrow says so
  ["norm", "norm", "", true], ["largest", "largest", "", true], ["mean", "mean", ""], ["std", "deviation", ""],
  ["zeros", "zeros", "%", true], ["dead", "dead units", "%"], ["nans", "NaN", "%", true],
];

/** Return what was measured of a node or group; undefined where nothing was. JSON has words for what is not finite. */
function measureOf(member, {of, entry}) {
  if (of === "measures") return member.measures[entry];
  const found = (member.isGroup ? member.operations : [member]).flatMap((node) => node[of])
    .map((numbers) => numberIn(numbers, entry)).filter((value) => value !== undefined);
  return found.length ? found.map(Number).sort(greatestFirst)[0] : undefined;
}

/** Return a statistic of some numbers. Norm and largest are those of the finite ones: among NaNs they say little. */
function numberIn(numbers, entry) {
  return (entry === "norm" || entry === "largest") && Number(numbers?.nans) > 0 ? NaN : numbers?.[entry];
}

/** Return lines about a tensor and its gradient, as far as they were measured. */
function textsOfNumbers(node, output) {
  const text = (found) => STATISTICS.filter(([key, , , isShort]) => isShort && key in found).map(([key, name, unit]) =>
    (unit ? `${textWithUnit(found[key], unit)} ${name}` : `${name} ${textOfNumber(found[key])}`)).join(", ");
  return [["numbers", node.values[output]], ["gradient", node.gradients[output]]].filter(([, found]) => found)
    .map(([what, found]) => `${what}: ${text(found)}`);
}

/** Compare numbers: what is no number is as remarkable as the greatest, and comes before it. */
function greatestFirst(one, other) {
  if (Number.isNaN(one) || Number.isNaN(other)) return Number.isNaN(other) - Number.isNaN(one);
  return one === other ? 0 : other - one;
}

function measuresIn(model) {
  return model.overlays.filter((measure) => model.operations.some((node) => measureOf(node, measure) !== undefined));
}

/** Return what all operations have of a measure together; of time also what of a call belongs to none of them. */
function wholeOf(model, {key}) {
  return model.root.measures[key] + (key === "seconds" ? model.overhead ?? 0 : 0);
}

/** Return lines of the legend for time: what of a call belongs to no operation, and what is drawn bold. */
function notesOn(model, {key, unit}) {
  if (key !== "seconds") return [];
  return [...(model.overhead === null ? [] : [`call overhead ${textWithUnit(model.overhead, unit)}`]),
          `bold: the slowest path, ${textWithUnit(model.slowest, unit)}`];
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
  for (const [kinds, text, stroke, dashes] of ARROWS) {
    if (!model.edges.some(({kind}) => kinds.includes(kind))) continue;
    keys.push(keyOf("line", {x1: 0, y1: 7, x2: 26, y2: 7, stroke, "stroke-width": 1.5, "stroke-dasharray": dashes}, text));
  }
  return keys;
}

/** Return whether the path whose operations take longest together leads through a box. */
function isOnSlowestPath(member) {
  return member.isGroup ? member.operations.some((node) => node.isSlow) : member.isSlow;
}

/** Colour the boxes in sight by a measure, and show the scale; without a measure, show what their own colours mean. */
function paint(stage, model, measure, legend) {
  const isTimed = measure?.key === "seconds";
  for (const {element} of stage.edges) element.classList.toggle("bold", isTimed && element.classList.contains("slow"));
  for (const [id, element] of stage.boxes) {
    element.classList.toggle("bold", isTimed && isOnSlowestPath(model.byId.get(id)));
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
  legend.replaceChildren(element("span", {}, capitalized(measure.title) + (measure.logarithmic ? ", logarithmic" : "")), scale,
                         ...notesOn(model, measure).map((text) => element("span", {}, text)));
}
