// The graph, and what of it is shown: a group is open, or stands as one box.

const BOXES_AT_FIRST = 100;
const DEEPEST_AT_FIRST = 8;

/** Return the graph with its parts linked: members and edges as objects instead of ids. */
function makeModel(data) {
  const byId = new Map();
  for (const member of [...data.groups, ...data.nodes]) byId.set(member.id, member);
  for (const group of data.groups) {
    Object.assign(group, {isGroup: true, open: false, shownAs: null, first: Infinity, last: -1, operations: []});
    group.members = group.members.map((id) => byId.get(id));
    group.parent = byId.get(group.parent) ?? null;
  }
  data.nodes.forEach((node, position) => {
    Object.assign(node, data.sources[node.source],
                  {isGroup: false, position, makers: [], readers: [], first: node.order, last: node.order});
    node.parent = byId.get(node.parent);
  });
  const edges = data.edges.map(([tail, head, values, kind, text, output, carried, again, isSlow]) => {
    const edge = {tail: byId.get(tail), head: byId.get(head), values, kind, text, output, carried, again, isSlow};
    edge.tail.readers.push(edge);
    edge.head.makers.push(edge);
    return edge;
  });
  const guides = data.guides.map((pair) => pair.map((id) => byId.get(id)));
  const operations = data.nodes.filter((node) => node.order >= 0).sort((one, other) => one.order - other.order);
  const [root] = data.groups;
  const lanes = root.members.filter((member) => member.isGroup);
  // A single phase is not drawn as an area of its own: it is always open.
  operations.forEach((node, i) => { node.number = i + 1; });
  const differences = [];  // in runs, which are gone to as one
  operations.forEach((node, i) => {
    if (node.change) isNextTo(operations[i - 1], node) ? differences.at(-1).push(node) : differences.push([node]);
  });
  const lane = lanes.length === 1 ? lanes[0] : null;
  const model = {...data, byId, edges, guides, operations, differences, root, lanes, lane};
  placeInTime(model);
  openAtFirst(model);
  return model;
}

/** Return whether a changed operation goes on with the change of the one before it. */
function isNextTo(before, node) {
  return Boolean(before?.change) && before.parent === node.parent;
}

/** Return how many nodes or groups there are, where equal ones are shown once. */
function countOf(members) {
  return members.reduce((sum, member) => sum + (member.isGroup ? member : member.parent).copies, 0);
}

/** Say of each box when the program reaches it: a tensor is there when it is first read, or when it was made. */
function placeInTime(model) {
  for (const node of model.nodes) {
    if (node.order >= 0) continue;
    const times = [...node.readers.map((edge) => edge.head.order), ...node.makers.map((edge) => edge.tail.order)];
    node.first = node.last = times.reduce((one, other) => Math.min(one, other), Infinity);
  }
  for (const operation of model.operations) {
    for (let group = operation.parent; group; group = group.parent) {
      group.first = Math.min(group.first, operation.order);
      group.last = Math.max(group.last, operation.order);
      group.position = Math.max(group.position ?? -1, operation.position);
      group.operations.push(operation);
    }
  }
}

/** Open what is asked for; without a wish everything, or else modules made of modules, of a comparison those that
 *  differ, while it is not too much. */
function openAtFirst(model) {
  const isCompared = model.differences.length > 0;
  const isSmall = !isCompared && model.nodes.length <= BOXES_AT_FIRST;
  model.root.open = true;
  if (model.depth !== null) {
    for (const group of model.groups) group.open = !group.bundle && group.depth <= model.depth + 1;
    update(model);
    return;
  }
  let level = model.lanes;
  let boxes = 0;
  while (level.length && level[0].depth <= DEEPEST_AT_FIRST && (isSmall || boxes <= BOXES_AT_FIRST)) {
    for (const group of level) group.open = true;
    level = level.flatMap((group) => group.members.filter((member) => member.isGroup))
      .filter((group) => isSmall || (isCompared ? group.changes : isMadeOfModules(group)));
    update(model);
    boxes = boxesOf(model).length + level.reduce((sum, group) => sum + group.members.length - 1, 0);
  }
  update(model);
}

function isMadeOfModules(group) {
  return !group.bundle && group.members.some((member) => member.isGroup && !member.isCall);
}

/** Note for each group the folded group that it is hidden in. Groups come after those around them. */
function update(model) {
  if (model.lane) model.lane.open = true;
  for (const group of model.groups) group.shownAs = group.parent?.shownAs ?? (group.open ? null : group);
}

/** Return the box that a node or group is seen as; a group that is shown open is its own. */
function boxOf(member) {
  return (member.isGroup ? member.shownAs : member.parent.shownAs) ?? member;
}

function isOpen(member) {
  return member.isGroup && member.shownAs === null;
}

/** Return the boxes in sight, in program order. */
function boxesOf(model) {
  return model.groups.filter((group) => group.shownAs === null)
    .flatMap((group) => group.members.filter((member) => !isOpen(member)))
    .sort((one, other) => one.first - other.first);
}

/** Open all that hides a node or group. */
function reveal(model, member) {
  for (let group = member.parent; group; group = group.parent) group.open = true;
  update(model);
}

/** Fold a group: when it is opened again, what it holds is folded, too. */
function fold(model, group) {
  for (const inner of model.groups) if (inner === group || isInside(inner, group)) inner.open = false;
  update(model);
}

function isInside(member, group) {
  for (let around = member.parent; around; around = around.parent) if (around === group) return true;
  return false;
}

/** Return whether a group is drawn as an area that can be folded. */
function canFold(model, group) {
  return group?.isGroup && group !== model.root && group !== model.lane && isOpen(group);
}

/** Open the outermost folded groups, or with false fold the innermost open ones; return whether there were any. */
function changeDetail(model, more) {
  const seen = more ? boxesOf(model).filter((box) => box.isGroup) : model.groups.filter((group) => canFold(model, group));
  const depth = seen.map((group) => group.depth).reduce((one, other) => (more ? Math.min : Math.max)(one, other),
                                                        more ? Infinity : 0);
  const level = seen.filter((group) => group.depth === depth);
  for (const group of level) group.open = more;
  update(model);
  return level.length > 0;
}

/** Return the names of the modules around a node or group, and its own. */
function pathOf(model, member) {
  const names = [member.title];
  if (member.place) names.unshift(member.place);
  for (let group = member.parent; group && group.depth > 1; group = group.parent) {
    if (!group.bundle) names.unshift(group.title);
  }
  return names.join(".");
}

/** Return the edges between boxes in sight, led to the boxes. Those that a folded group merges say how many values they
 *  carry: one that several operations in the group read counts once, in each of several equal blocks. An edge to the next
 *  of these stays, around the box that they are folded into. */
function ledEdges(model) {
  const merged = new Map();
  const led = [];
  for (const {tail, head, values, kind, text, output, carried, again, isSlow} of model.edges) {
    const from = boxOf(tail), to = boxOf(head);
    if (from === to && !(again && again <= rolledAround(to))) continue;
    const isExact = from === tail && to === head;
    const key = isExact ? null : `${from.id} ${to.id} ${kind} ${again}`;
    let edge = key && merged.get(key);
    if (!edge) {
      edge = {tail: from, head: to, kind, values: isExact ? values : 0, texts: [], carried: new Set(), isSlow: false};
      led.push(edge);
      if (key) merged.set(key, edge);
    }
    edge.isSlow ||= isSlow;
    if (isExact) {
      edge.texts.push(text, ...(values === 1 ? textsOfNumbers(tail, output) : []));
      continue;
    }
    const around = carried && rolledAround(to);
    const found = carried ? carried.map(([maker, index, copies]) => `${maker} ${index} ${copies.slice(0, around)}`)
      : [`${tail.id} ${output}`];
    for (const value of found) {
      if (edge.carried.has(value)) continue;
      edge.carried.add(value);
      edge.texts.push(text);
      edge.values += carried ? 1 : values;
    }
  }
  return led;
}

/** Return in how many rows of equal blocks, shown once, a box stands. */
function rolledAround(member) {
  let count = 0;
  for (let around = member; around; around = around.parent) count += around.isRolled ? 1 : 0;
  return count;
}
