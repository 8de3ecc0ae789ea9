// The page: what is selected and open, and what keys and buttons do.

const PATIENCE = 400;  // milliseconds until the page says that a layout takes its time

function makePage(data) {
  const control = (id) => document.getElementById(id);
  const model = makeModel(data);
  const layout = makeLayout(bytesOf("layout"));
  const stage = makeStage(control("stage"), control("canvas"), {onSelect: (id) => select(model.byId.get(id)), onToggle: toggle});
  const panel = makePanel(control("panel"), model, {onGo: goTo, onToggle: toggle});
  const measures = measuresIn(model);
  let selected = null;
  let drawings = 0;
  let openInPicture = null;
  let player = null;
  let difference = -1;

  // ---- Layout ---------------------------------------------------------------------------------------------------------

  /** Lay out what is open now. A box that was in the picture before stays where it is on the stage. */
  async function draw(anchor = null) {
    drawings += 1;
    const own = drawings;
    const point = anchor && stage.pointOf(anchor.id);
    control("stage").setAttribute("aria-busy", "true");
    const boxes = textOfCount(boxesOf(model).length, "box").replace(/boxs$/, "boxes");
    const timer = setTimeout(() => say(`Laying out ${boxes} …`, true), PATIENCE);
    try {
      const picture = await layout.picture(dotOf(model));
      if (own !== drawings) return;
      stage.show(picture);
      openInPicture = model.groups.map((group) => group.open);
      say("");
      refresh();  // the legend takes its room before the picture is put into the rest
      if (point) stage.put(anchor.id, point);
      else stage.fit(READABLE_ZOOM, boxesOf(model)[0]?.id);
    } catch (error) {
      if (own === drawings) goBack(error);
    } finally {
      clearTimeout(timer);
      if (own === drawings) control("stage").setAttribute("aria-busy", "false");
    }
  }

  /** After a layout that was cancelled or failed, let what is open agree with the picture that is up. */
  function goBack(error) {
    say(error instanceof Cancelled ? "" : `This cannot be laid out: ${error.message}`);
    if (!openInPicture) {
      showStatic();
      return;
    }
    model.groups.forEach((group, i) => { group.open = openInPicture[i]; });
    update(model);
    refresh();
  }

  function say(text, canCancel = false) {
    control("message").hidden = !text;
    control("message").firstElementChild.textContent = text;
    control("cancel").hidden = !canCancel;
  }

  // ---- Selection ------------------------------------------------------------------------------------------------------

  function select(member) {
    selected = member ?? null;
    showSelection();
    showPanel();
  }

  function showSelection() {
    const id = selected && boxOf(selected).id;
    for (const elements of [stage.boxes, stage.areas]) {
      for (const [name, element] of elements) element.classList.toggle("selected", name === id);
    }
    for (const {element, tail, head} of stage.edges) element.classList.toggle("beside", tail === id || head === id);
    if (id && stage.boxes.has(id)) control("stage").setAttribute("aria-activedescendant", `box-${id}`);
    else control("stage").removeAttribute("aria-activedescendant");
  }

  function showPanel() {
    const member = player.step && !selected ? player.step.node : selected;
    panel.show(member, {reached: member && !member.isGroup ? player.reached(member) : null, measure: measure()});
  }

  function measure() {
    return measures.find(({key}) => key === control("overlay").value) ?? null;
  }

  function refresh() {
    for (const [id, box] of stage.boxes) {
      box.id = `box-${id}`;
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", pathOf(model, model.byId.get(id)));
    }
    paint(stage, model, measure(), control("legend"));
    showStep(stage, model, player);
    showSelection();
    showPanel();
    control("more").disabled = !boxesOf(model).some((box) => box.isGroup);
    control("fewer").disabled = !model.groups.some((group) => canFold(model, group));
  }

  /** Select a node or group wherever it is hidden. */
  async function goTo(member) {
    const isHidden = boxOf(member) !== member;
    if (isHidden) {
      reveal(model, member);
      await draw();
    }
    select(member);
    stage.bringIntoSight(boxOf(member).id);
  }

  /** Open a folded group, or fold an open one. */
  function toggle(id) {
    const group = model.byId.get(id);
    if (!group?.isGroup) return;
    if (canFold(model, group)) fold(model, group);
    else {
      group.open = true;
      update(model);
    }
    selected = group;
    draw(group);
  }

  function foldAround() {
    const around = selected?.parent;
    if (canFold(model, around)) toggle(around.id);
  }

  /** Select the nearest box in a direction. */
  function selectBeside(x, y) {
    const own = selected && stage.pointOf(boxOf(selected).id);
    const boxes = boxesOf(model);
    if (!own) {
      select(boxes[0]);
    } else {
      let best = null;
      for (const box of boxes) {
        const point = stage.pointOf(box.id);
        if (!point || box === boxOf(selected)) continue;
        const [right, down] = [point.x - own.x, point.y - own.y];
        const along = right * x + down * y, across = Math.abs(right * y) + Math.abs(down * x);
        if (along > 1 && (!best || along + 2 * across < best.distance)) best = {box, distance: along + 2 * across};
      }
      if (best) select(best.box);
    }
    if (selected) stage.bringIntoSight(boxOf(selected).id);
  }

  /** Go to the next or the previous differences of a comparison: those beside each other are one stop. */
  function showDifference(step) {
    const {differences} = model;
    if (!differences.length) return;
    difference = (Math.max(difference, step > 0 ? -1 : 0) + step + differences.length) % differences.length;
    const run = differences[difference];
    const first = countOf(differences.slice(0, difference).flat()) + 1, last = first + countOf(run) - 1;
    const which = first === last ? `Difference ${first}` : `Differences ${first} – ${last}`;
    control("difference").textContent = `${which} of ${countOf(differences.flat())}`;
    goTo(run[0]);
  }

  // ---- Buttons and keys -----------------------------------------------------------------------------------------------

  const playerControls = Object.fromEntries(
    ["first", "previous", "play", "next", "last", "stop", "step", "played"].map((id) => [id, control(id)]));
  player = makePlayer(model, playerControls, (step) => {
    if (!player) return;
    showStep(stage, model, player);
    if (step) {
      selected = step.node;
      showSelection();
      stage.bringIntoSight(boxOf(step.node).id);
    }
    showPanel();
  });

  const buttons = {
    "zoom-in": () => stage.zoomBy(1.3), "zoom-out": () => stage.zoomBy(1 / 1.3), fit: () => stage.fit(),
    more: () => changeDetail(model, true) && draw(selected && boxOf(selected)),
    fewer: () => changeDetail(model, false) && draw(selected && boxOf(selected)),
    "previous-difference": () => showDifference(-1), "next-difference": () => showDifference(1),
    cancel: () => layout.cancel(), "help-button": () => control("help").showModal(),
  };
  for (const [id, action] of Object.entries(buttons)) control(id).addEventListener("click", action);

  const keys = {
    "/": () => control("search").focus(), "+": buttons["zoom-in"], "=": buttons["zoom-in"], "-": buttons["zoom-out"],
    n: buttons["next-difference"], p: buttons["previous-difference"], 0: buttons.fit,
    "?": buttons["help-button"], ".": () => player.press("next"), ",": () => player.press("previous"),
    " ": () => player.press("play"), Home: () => player.press("first"), End: () => player.press("last"),
    Enter: () => selected && toggle(selected.id), Backspace: foldAround,
    Escape: () => (player.step ? player.press("stop") : select(null)),
  };
  const arrows = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || control("help").open) return;
    // Keys that do something where the focus is are left to it: in a field, on a button, in a part that scrolls.
    if (event.target.closest("input, select")) return;
    if (event.target.closest("button, summary") && /^(Enter| )$/.test(event.key)) return;
    if (event.target.closest("#panel") && /^(Arrow.*|Home|End| )$/.test(event.key)) return;
    if (event.key in arrows) {
      const [x, y] = arrows[event.key];
      if (event.shiftKey) stage.moveBy(-80 * x, -80 * y);
      else selectBeside(x, y);
    } else if (Object.hasOwn(keys, event.key)) {
      keys[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });

  makeSearch(control("search"), control("found"), model, (member) => {
    control("stage").focus();
    goTo(member);
  });
  for (const {key, title} of measures) control("overlay").append(element("option", {value: key}, capitalized(title)));
  control("overlay").prepend(element("option", {value: "", selected: ""}, "nothing"));
  control("overlay").value = measures.some(({key}) => key === model.overlay) ? model.overlay : "";
  control("overlay").parentElement.hidden = measures.length === 0;
  control("differences").hidden = model.differences.length === 0;
  control("difference").textContent = textOfCount(countOf(model.differences.flat()), "difference");
  control("overlay").addEventListener("change", refresh);
  return draw();
}

/** Return what stands on the page without JavaScript. */
function still() {
  return new DOMParser().parseFromString(document.getElementById("static").textContent, "text/html").body;
}

async function start() {
  const canvas = document.getElementById("canvas");
  document.getElementById("page").hidden = false;
  canvas.replaceChildren(...still().querySelectorAll("svg"));  // until there is a layout
  try {
    await makePage(await readJson("data"));
  } catch (error) {
    canvas.replaceChildren(...still().childNodes);
    throw error;
  }
}

start();
