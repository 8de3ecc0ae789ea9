// How numbers and elements are written.

/** Return a new element; texts among its children never become markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const PREFIXES = [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"],
                  [1e-9, "n"]];

/** Return a number with three digits. JSON has no NaN and no infinities: these come as text. */
function textOfNumber(value) {
  const number = Number(value);
  if (!Number.isFinite(number)) return String(number).replace("Infinity", "∞");
  if (number !== 0 && (Math.abs(number) >= 1e5 || Math.abs(number) < 1e-3)) return number.toExponential(2);
  return String(Number(number.toPrecision(3)));
}

function textWithUnit(value, unit) {
  const number = Number(value);
  if (unit === "%") return `${Number((100 * number).toPrecision(3))}%`;
  if (unit === "" || !Number.isFinite(number) || number === 0) return `${textOfNumber(value)} ${unit}`.trim();
  const [factor, prefix] = PREFIXES.find(([size]) => Math.abs(number) >= size) ?? PREFIXES.at(-1);
  return `${Number((number / factor).toPrecision(3))} ${prefix}${unit}`;
}

/** Return a part of a whole. */
function textOfShare(share) {
  return share > 0 && share < 0.001 ? "< 0.1%" : `${(100 * share).toFixed(1)}%`;
}

function capitalized(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function textOfCount(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
