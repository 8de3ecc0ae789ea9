// The picture on the page: Graphviz's SVG, moved and zoomed.

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST_ZOOM = 0.02;
const LARGEST_ZOOM = 6;
const READABLE_ZOOM = 0.75;
const MARGIN = 16;

function makeStage(stage, canvas, {onSelect, onToggle}) {
  let svg = null;
  let layer = null;
  let size = {width: 0, height: 0};
  let shift = {e: 0, f: 0};  // of Graphviz's own coordinates
  let view = {x: 0, y: 0, zoom: 1};
  const boxes = new Map();
  const areas = new Map();
  const places = new Map();  // read once: to read them after each change would make the browser lay out each time
  let edges = [];

  /** Put a new picture up. */
  function show(text) {
    const parsed = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    svg = document.importNode(parsed, true);
    size = {width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height};
    for (const name of ["width", "height", "viewBox", "style"]) svg.removeAttribute(name);
    layer = document.createElementNS(SVG, "g");
    layer.append(...svg.childNodes);
    svg.append(layer);
    shift = layer.querySelector(".graph").transform.baseVal.consolidate().matrix;
    // Graphviz paints a background; the page has its own.
    layer.querySelector(".graph > polygon, #a_graph0 > a > polygon")?.remove();
    boxes.clear();
    areas.clear();
    edges = [];
    for (const text of layer.querySelectorAll(".node text")) if (!text.textContent.trim()) text.remove();
    for (const group of layer.querySelectorAll(".node, .cluster, .edge")) keep(group);
    canvas.replaceChildren(svg);
    places.clear();
    for (const elements of [areas, boxes]) {
      for (const [id, element] of elements) places.set(id, element.getBBox());
    }
    move(view);
  }

  /** Remember an element of the picture under the name that Graphviz wrote into its title. */
  function keep(group) {
    const title = group.querySelector("title");
    const name = title.textContent;
    title.remove();
    group.dataset.id = name;
    if (group.classList.contains("node")) {
      boxes.set(name, group);
    } else if (group.classList.contains("cluster")) {
      areas.set(name, group);
    } else {
      const [tail, head] = name.split("->");
      edges.push({element: group, tail, head});
    }
  }

  function move(next) {
    view = {...next, zoom: Math.min(LARGEST_ZOOM, Math.max(SMALLEST_ZOOM, next.zoom))};
    layer?.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.zoom})`);
  }

  function moveBy(x, y) {
    move({...view, x: view.x + x, y: view.y + y});
  }

  /** Zoom so that what lies under a point of the stage stays there; by default its middle. */
  function zoomBy(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
    const zoom = Math.min(LARGEST_ZOOM, Math.max(SMALLEST_ZOOM, view.zoom * factor));
    const change = zoom / view.zoom;
    move({x: x - (x - view.x) * change, y: y - (y - view.y) * change, zoom});
  }

  /** Show the whole picture; with a smallest zoom, where it is too large, the part around a box at the top. */
  function fit(smallest = 0, id = null) {
    const room = {width: stage.clientWidth - 2 * MARGIN, height: stage.clientHeight - 2 * MARGIN};
    const zoom = Math.max(smallest, Math.min(1.25, room.width / size.width, room.height / size.height));
    const [left, top] = [room.width - zoom * size.width, room.height - zoom * size.height];
    move({x: MARGIN + left / 2, y: MARGIN + Math.max(0, top / 2), zoom});
    const point = pointOf(id);
    if (left >= 0 || !point) return;
    // From its left edge on, unless the box were out of sight.
    const isInSight = point.x - view.x + MARGIN < stage.clientWidth - 60;
    const x = view.x + stage.clientWidth / 2 - point.x;
    move({...view, x: isInSight ? MARGIN : Math.min(MARGIN, Math.max(MARGIN + left, x))});
  }

  /** Return where a box is on the stage: the middle of its upper part, for an area may be very high. */
  function pointOf(id) {
    const place = places.get(id);
    if (!place) return null;
    const x = place.x + shift.e + place.width / 2;
    const y = place.y + shift.f + Math.min(place.height / 2, 15);
    return {x: view.x + view.zoom * x, y: view.y + view.zoom * y};
  }

  /** Move the picture so that a box lies at a point of the stage. */
  function put(id, point) {
    const now = pointOf(id);
    if (now && point) moveBy(point.x - now.x, point.y - now.y);
  }

  /** Bring a box into sight, and near enough to be read. */
  function bringIntoSight(id) {
    const middle = {x: stage.clientWidth / 2, y: stage.clientHeight / 2};
    if (view.zoom < READABLE_ZOOM / 2) zoomBy(READABLE_ZOOM / view.zoom);
    const point = pointOf(id);
    if (!point) return;
    const isInside = point.x > 60 && point.x < stage.clientWidth - 60 && point.y > 40 && point.y < stage.clientHeight - 40;
    if (!isInside) put(id, middle);
  }

  // ---- Pointers -------------------------------------------------------------------------------------------------------

  const pointers = new Map();
  let dragged = 0;

  function pointOnStage(event) {
    const {left, top} = stage.getBoundingClientRect();
    return {x: event.clientX - left, y: event.clientY - top};
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, pointOnStage(event));
    dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = pointOnStage(event);
    dragged += Math.hypot(now.x - before.x, now.y - before.y);
    if (dragged < 4) return;
    // Only a drag captures the pointer: a click must reach the box under it.
    canvas.setPointerCapture(event.pointerId);
    stage.classList.add("dragged");
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    moveBy((now.x - before.x) / pointers.size, (now.y - before.y) / pointers.size);
    if (other) {
      const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      zoomBy(distance(now) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    }
    pointers.set(event.pointerId, now);
  });
  for (const ending of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(ending, (event) => {
      pointers.delete(event.pointerId);
      stage.classList.remove("dragged");
    });
  }
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const {x, y} = pointOnStage(event);
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoomBy(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), x, y);
  }, {passive: false});

  /** Return the box or area that an event is about. An area is taken at its name and edge, not within. */
  function idAt(event) {
    return event.target.closest(".node")?.dataset.id ?? event.target.closest(".cluster")?.dataset.id ?? null;
  }

  canvas.addEventListener("click", (event) => {
    if (dragged < 4) onSelect(idAt(event));
  });
  canvas.addEventListener("dblclick", (event) => {
    const id = idAt(event);
    if (id) onToggle(id);
  });

  // ---- Paper ----------------------------------------------------------------------------------------------------------

  window.addEventListener("beforeprint", () => {
    svg?.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    layer?.removeAttribute("transform");
  });
  window.addEventListener("afterprint", () => {
    svg?.removeAttribute("viewBox");
    move(view);
  });

  return {
    show, fit, zoomBy, moveBy, pointOf, put, bringIntoSight, boxes, areas, places,
    get edges() { return edges; },
    get layer() { return layer; },
  };
}
