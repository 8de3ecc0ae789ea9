// Search by name, module, kind and shape.

const FOUND_SHOWN = 50;

function makeSearch(input, list, model, onGo) {
  const entries = [...model.groups.filter((group) => group.parent), ...model.nodes].map((member) => {
    const path = pathOf(model, member);
    const count = member.isGroup && textOfCount(member.operations.length, "operation");
    const about = (member.isGroup ? [member.module, count] : member.shapes).filter(Boolean).join(", ");
    const words = [path, member.kind, member.phase, member.change, about].filter(Boolean);
    return {member, path, about, text: words.join(" ").toLowerCase()};
  });
  let found = [];
  let chosen = 0;

  /** Find what has all words; names that begin with the text come first. */
  function find() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = words.length ? entries.filter((entry) => words.every((word) => entry.text.includes(word))) : [];
    const begins = (entry) => entry.member.title.toLowerCase().startsWith(words[0]);
    found = [...all.filter(begins), ...all.filter((entry) => !begins(entry))].slice(0, FOUND_SHOWN);
    chosen = 0;
    const options = found.map((entry, i) => element(
      "li", {role: "option", id: `found-${i}`, onpointerdown: (event) => { event.preventDefault(); go(i); }},
      entry.path, element("small", {}, [entry.member.phase, entry.about].filter(Boolean).join(" · "))));
    if (all.length > found.length) options.push(element("li", {class: "faint"}, `and ${all.length - found.length} more`));
    if (words.length && !all.length) options.push(element("li", {class: "faint"}, "nothing found"));
    list.replaceChildren(...options);
    open(options.length > 0);
    choose(0);
  }

  function open(isOpen) {
    list.hidden = !isOpen;
    input.setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) input.removeAttribute("aria-activedescendant");
  }

  function choose(number) {
    if (!found.length) return;
    chosen = (number + found.length) % found.length;
    found.forEach((_, i) => list.children[i].setAttribute("aria-selected", String(i === chosen)));
    list.children[chosen].scrollIntoView({block: "nearest"});
    input.setAttribute("aria-activedescendant", `found-${chosen}`);
  }

  function go(number) {
    const entry = found[number];
    if (!entry) return;
    open(false);
    onGo(entry.member);
  }

  input.addEventListener("input", find);
  input.addEventListener("focus", () => open(list.children.length > 0));
  input.addEventListener("blur", () => open(false));
  input.addEventListener("keydown", (event) => {
    const steps = {ArrowDown: 1, ArrowUp: -1};
    if (event.key in steps) choose(chosen + steps[event.key]);
    else if (event.key === "Enter") go(chosen);
    else if (event.key === "Escape") input.blur();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}
