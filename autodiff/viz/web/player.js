// Playing the program: forwards, where values appear, and, unless the backward pass is a part of the program, back
// through the tape, where gradients appear.

const MILLISECONDS_A_STEP = 600;
const MILLISECONDS_AT_MOST = 60000;

function stepsOf(model) {
  const forwards = model.operations.map((node) => ({node, isReverse: false}));
  if (model.operations.some((node) => node.phase === "backward")) return forwards;
  const back = model.operations.filter((node) => node.gradients.some(Boolean)).reverse();
  return [...forwards, ...back.map((node) => ({node, isReverse: true}))];
}

/** Return what of a node there is after a step; without playing, all of it. */
function reachedAt(steps, number, node) {
  if (number === null) return {values: true, gradients: true};
  const {node: current, isReverse} = steps[number];
  if (isReverse) return {values: true, gradients: node.first >= current.order};
  // Where the backward pass is played, a gradient is there once the operation has run that makes it.
  return {values: node.first <= current.order, gradients: node.gradientOrder >= 0 && node.gradientOrder <= current.order};
}

function makePlayer(model, controls, onStep) {
  const steps = stepsOf(model);
  let number = null;
  let timer = null;

  /** Go to a step; null shows everything. */
  function go(next) {
    number = next === null || !steps.length ? null : Math.min(steps.length - 1, Math.max(0, next));
    if (number === null || number === steps.length - 1) pause();
    controls.step.value = number === null ? 0 : number + 1;
    controls.step.dataset.sweep = number !== null && steps[number].isReverse ? "reverse" : "forward";
    controls.stop.hidden = number === null;
    controls.played.textContent = number === null ? textOfCount(steps.length, "step") : textOfStep(steps[number]);
    onStep(number === null ? null : steps[number]);
  }

  function textOfStep({node, isReverse}) {
    const [found] = isReverse ? node.gradients : node.values;
    const what = isReverse ? "gradient" : "norm";
    return `${number + 1} of ${steps.length} · ${node.title}` + (found ? ` · ${what} ${textOfNumber(found.norm)}` : "");
  }

  function moveBy(change) {
    go(number === null ? (change > 0 ? 0 : steps.length - 1) : number + change);
  }

  function play() {
    if (number === null || number === steps.length - 1) go(0);
    const pace = Math.min(MILLISECONDS_A_STEP, MILLISECONDS_AT_MOST / steps.length);
    timer = setInterval(() => moveBy(1), pace);
    showPlaying();
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    showPlaying();
  }

  function showPlaying() {
    controls.play.textContent = timer === null ? "Play" : "Pause";
  }

  const actions = {
    first: () => go(0), previous: () => moveBy(-1), next: () => moveBy(1), last: () => go(steps.length - 1),
    play: () => (timer === null ? play() : pause()), stop: () => go(null),
  };
  for (const [name, action] of Object.entries(actions)) {
    controls[name].addEventListener("click", () => {
      if (name !== "play") pause();
      action();
    });
  }
  controls.step.max = steps.length;
  controls.step.addEventListener("input", () => {
    pause();
    go(Number(controls.step.value) - 1 < 0 ? null : Number(controls.step.value) - 1);
  });
  go(null);
  return {
    press: (name) => controls[name].click(),
    reached: (node) => reachedAt(steps, number, node),
    get step() { return number === null ? null : steps[number]; },
  };
}

// ---- In the picture ----------------------------------------------------------------------------------------------------

/** Show in the picture what the program has reached: the rest is faint, and each box has its numbers below it. */
function showStep(stage, model, player) {
  const {step} = player;
  for (const old of stage.layer?.querySelectorAll(".statistic") ?? []) old.remove();
  const waiting = new Set();
  for (const box of boxesOf(model)) {
    const element = stage.boxes.get(box.id);
    if (!element) continue;
    // A folded module shows what its last operation made.
    const node = box.isGroup ? box.operations.at(-1) : box;
    const reached = node ? player.reached(node) : {};
    const isWaiting = step !== null && !player.reached(box).values;
    if (isWaiting) waiting.add(box.id);
    element.classList.toggle("waiting", isWaiting);
    element.classList.toggle("received", Boolean(step && reached.gradients && node.gradients.some(Boolean)));
    element.classList.toggle("current", step !== null && boxOf(step.node) === box);
    if (step && node) writeStatistics(stage, box, node, reached);
  }
  for (const {element, tail, head} of stage.edges) {
    element.classList.toggle("waiting", waiting.has(tail) || waiting.has(head));
  }
}

function writeStatistics(stage, box, node, reached) {
  const texts = [[reached.values && node.values[0], "statistic", "", -4, "end"],
                 [reached.gradients && node.gradients[0], "statistic gradient", "∇ ", 5, "start"]];
  const shown = texts.filter(([found]) => found);
  if (!shown.length) return;
  const place = stage.places.get(box.id);
  // Where the values leave: the backward pass is drawn upwards.
  const y = box.phase === "backward" ? place.y - 2.5 : place.y + place.height + 8.5;
  for (const [found, name, sign, shift, anchor] of shown) {
    const text = document.createElementNS(SVG, "text");
    const settings = {class: name, x: place.x + place.width / 2 + shift, y, "text-anchor": anchor};
    for (const [key, value] of Object.entries(settings)) text.setAttribute(key, value);
    text.textContent = sign + textOfNumber(found.norm);
    stage.boxes.get(box.id).append(text);
  }
}
