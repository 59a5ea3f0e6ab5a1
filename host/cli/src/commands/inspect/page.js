"use strict";
// Draws the map of sizes, at the width there is, and what is known of the crate that was chosen.
(() => {
  const crates = JSON.parse(document.getElementById("data").textContent);
  const map = document.getElementById("treemap");
  const path = document.getElementById("path");
  const detail = document.getElementById("detail");
  const SVG = "http://www.w3.org/2000/svg";
  let chosen = null;

  const size = bytes => bytes < 1024 ? bytes + " B"
    : bytes < 1048576 ? (bytes / 1024).toFixed(1) + " KiB" : (bytes / 1048576).toFixed(1) + " MiB";
  const make = (name, attributes, text) => {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const add = (parent, name, text) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    return parent.appendChild(element);
  };

  // Squarified (Bruls, Huizing and van Wijk, 2000): rows along the shorter side, as long as that makes them squarer.
  function squarify(items, box, place) {
    let rest = items.filter(item => item.bytes > 0).sort((a, b) => b.bytes - a.bytes);
    let { x, y, w, h } = box;
    let left = rest.reduce((sum, item) => sum + item.bytes, 0);
    while (rest.length && w > 0 && h > 0) {
      const scale = w * h / left, side = Math.min(w, h);
      const worst = (sum, most, least) => {
        const area = sum * scale, ratio = side * side / (area * area);
        return Math.max(most * scale * ratio, 1 / (least * scale * ratio));
      };
      let count = 1, sum = rest[0].bytes;
      while (count < rest.length) {
        const next = sum + rest[count].bytes;
        if (worst(next, rest[0].bytes, rest[count].bytes) > worst(sum, rest[0].bytes, rest[count - 1].bytes)) break;
        sum = next;
        count += 1;
      }
      const deep = sum * scale / side;
      let along = 0;
      for (const item of rest.slice(0, count)) {
        const long = item.bytes * scale / deep;
        place(item, w >= h ? { x, y: y + along, w: deep, h: long } : { x: x + along, y, w: long, h: deep });
        along += long;
      }
      if (w >= h) { x += deep; w -= deep; } else { y += deep; h -= deep; }
      left -= sum;
      rest = rest.slice(count);
    }
  }

  function tile(svg, item, box) {
    const group = make("g", { tabindex: item.choose ? 0 : -1, role: item.choose ? "button" : "img", "aria-label": item.name + ", " + size(item.bytes) });
    group.append(make("title", {}, item.title + "\n" + size(item.bytes)));
    group.append(make("rect", { class: item.kind, x: box.x, y: box.y, width: box.w, height: box.h, rx: 2 }));
    if (item.choose) {
      group.addEventListener("click", item.choose);
      group.addEventListener("keydown", event => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); item.choose(); }
      });
    }
    svg.append(group);
    if (box.w < 34 || box.h < 20) return;
    const label = make("text", { x: box.x + 7, y: box.y + 18 }, item.name);
    group.append(label);
    // A name that does not fit is cut; one of which little is left is not written at all.
    let text = item.name;
    while (text.length > 2 && label.getComputedTextLength() > box.w - 12) {
      text = text.slice(0, -1);
      label.textContent = text + "…";
    }
    if (text.length < Math.min(4, item.name.length)) return label.remove();
    if (box.h >= 38) {
      const amount = make("text", { class: "amount", x: box.x + 7, y: box.y + 34 }, size(item.bytes));
      group.append(amount);
      if (amount.getComputedTextLength() > box.w - 12) amount.remove();
    }
  }

  const kind = library => library.replaceAll(" ", "-").toLowerCase();

  function groups(svg, box) {
    const names = [...new Set(crates.map(entry => entry.library))];
    const all = names.map(name => {
      const inside = crates.filter(entry => entry.library === name);
      return { name, inside, bytes: inside.reduce((sum, entry) => sum + entry.bytes, 0) };
    });
    squarify(all, box, (group, outer) => {
      squarify(group.inside.slice(), { x: outer.x + 1, y: outer.y + 1, w: Math.max(outer.w - 2, 0), h: Math.max(outer.h - 2, 0) }, (entry, inner) => tile(svg, {
        name: entry.name.replace(/^ampoule-/, ""), title: entry.name + (entry.version ? " " + entry.version : "") + " (" + entry.library + ")",
        bytes: entry.bytes, kind: kind(entry.library), choose: () => choose(entry),
      }, inner));
    });
  }

  function short(name) {
    const plain = name.replace(/<[^<>]*>/g, "").replace(/<[^<>]*>/g, "").replace(/<[^<>]*>/g, "");
    const parts = (plain.includes("::") ? plain : name).split("::").filter(part => part);
    return parts.slice(-2).join("::") || name;
  }

  function draw() {
    const width = map.clientWidth, height = Math.round(width < 600 ? width * 1.25 : width * .58);
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "group", "aria-label": "map of sizes" });
    map.replaceChildren(svg);
    const box = { x: 0, y: 0, w: width, h: height };
    if (chosen) {
      const items = chosen.functions.map(([name, bytes]) => ({ name: short(name), title: name, bytes, kind: kind(chosen.library) }));
      squarify(items, box, (item, inner) => tile(svg, item, inner));
    } else {
      groups(svg, box);
    }
  }

  function choose(entry) {
    chosen = entry;
    path.replaceChildren();
    detail.replaceChildren();
    detail.hidden = !entry;
    if (entry) {
      const back = add(path, "button", "all crates");
      back.type = "button";
      back.addEventListener("click", () => choose(null));
      path.append(" › " + entry.name + (entry.version ? " " + entry.version : "") + ", " + size(entry.bytes));
      if (entry.way.length) {
        add(detail, "h3", "Why " + entry.name + " is there");
        const list = add(detail, "ol");
        for (const step of entry.way) add(list, "li").appendChild(document.createElement("code")).textContent = step;
        if (entry.brings) add(detail, "p", "Without it, " + size(entry.brings) + " would not be in the image.").className = "hint";
      }
      add(detail, "h3", "Its largest parts");
      const table = add(add(detail, "table"), "tbody");
      for (const [name, bytes] of entry.functions.slice(0, 25)) {
        const line = add(table, "tr");
        add(line, "th").appendChild(document.createElement("code")).textContent = name;
        add(line, "td", size(bytes)).className = "n";
      }
    } else {
      path.append("all crates");
    }
    draw();
  }

  choose(null);
  let known = map.clientWidth;
  new ResizeObserver(() => { if (map.clientWidth !== known) { known = map.clientWidth; draw(); } }).observe(map);
})();
