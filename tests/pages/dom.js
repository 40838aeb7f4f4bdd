"use strict";
// Enough of a browser for the script of a report: elements, events, a canvas that notes what is
// drawn. What it does not have is an error, and so is any use of the network.
const fs = require("fs");
const [html, script, data] = [process.argv[2], process.argv[3], process.argv[4]].map((file) => fs.readFileSync(file, "utf8"));

class Element {
  constructor(tag, attributes = {}) {
    Object.assign(this, { tag, attributes, children: [], parent: null, listeners: {}, drawn: [] });
    Object.assign(this, { hidden: "hidden" in attributes, checked: false, scrollTop: 0, offsetTop: 0, clientHeight: 300 });
    this.style = {};
    this.given = attributes.value;
    const element = this;
    this.classList = {
      toggle(name, on) {
        const names = new Set((element.attributes.class || "").split(" ").filter(Boolean));
        if (on) names.add(name);
        else names.delete(name);
        element.attributes.class = [...names].join(" ");
      },
    };
  }
  get id() { return this.attributes.id; }
  // A select has the value of its first option until another one is chosen.
  get value() {
    if (this.given !== undefined) return String(this.given);
    const first = this.children.find((child) => child.tag === "option");
    return first ? String(first.attributes.value ?? first.textContent) : "";
  }
  set value(given) { this.given = given; }
  get textContent() { return this.children.map((child) => (typeof child === "string" ? child : child.textContent)).join(""); }
  set textContent(text) { this.children = [String(text)]; }
  append(...children) {
    for (const child of children) {
      if (child === undefined || child === null) throw new Error(`${this.tag} takes ${child}`);
      if (child instanceof Element) child.parent = this;
      this.children.push(child instanceof Element ? child : String(child));
    }
  }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  replaceWith(other) {
    const place = this.parent.children.indexOf(this);
    this.parent.children[place] = other;
    other.parent = this.parent;
  }
  cloneNode() {
    const made = new Element(this.tag, { ...this.attributes });
    for (const child of this.children) made.append(child instanceof Element ? child.cloneNode() : child);
    return made;
  }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  addEventListener(kind, listener) { (this.listeners[kind] ||= []).push(listener); }
  send(kind, event = {}) {
    if (!this.listeners[kind]) throw new Error(`nothing hears ${kind} of ${this.tag} ${this.id || ""}`);
    for (const listener of this.listeners[kind]) listener({ preventDefault() {}, ...event });
  }
  *all() {
    yield this;
    for (const child of this.children) if (child instanceof Element) yield* child.all();
  }
  querySelector(tag) { return [...this.all()].find((element) => element.tag === tag && element !== this) || null; }
  getBoundingClientRect() { return { left: 0, top: 0, width: 100, height: 100 }; }
  getContext() {
    const noted = this.drawn;
    return {
      setTransform() {},
      fillRect(...box) { noted.push(["fill", this.fillStyle, ...box]); },
      fillText(text) { noted.push(["text", text]); },
      strokeRect(...box) { noted.push(["frame", this.strokeStyle, ...box]); },
    };
  }
}

// The elements of the page's own HTML, which nests and closes all of its tags.
function parse(text) {
  const root = new Element("body");
  let open = root;
  for (const [, close, tag, given, words] of text.matchAll(/<(\/?)(\w+)([^>]*)>|([^<]+)/g)) {
    if (words !== undefined) open.append(words);
    else if (close) open = open.parent;
    else {
      const attributes = Object.fromEntries([...given.matchAll(/([\w-]+)(?:="([^"]*)")?/g)].map(([, name, value]) => [name, value ?? ""]));
      const made = new Element(tag, attributes);
      open.append(made);
      if (tag !== "input") open = made;
    }
  }
  return root;
}

const body = parse(html);
body.append(new Element("script", { id: "data" }));
body.children.at(-1).textContent = data;
const find = (id) => [...body.all()].find((element) => element.id === id) || null;
const timers = [];
const window = { devicePixelRatio: 1, matchMedia: () => new Element("media") };
const document = {
  body,
  getElementById: find,
  querySelector: (tag) => body.querySelector(tag),
  createElement: (tag) => new Element(tag),
  createElementNS: (_, tag) => new Element(tag),
};
const getComputedStyle = () => ({ getPropertyValue: (name) => name });
const setInterval = (tick) => timers.push(tick);
const clearInterval = (timer) => { if (timer) timers[timer - 1] = null; };
const forbidden = () => { throw new Error("the page asks for an address"); };

const names = ["window", "document", "getComputedStyle", "setInterval", "clearInterval", "fetch", "XMLHttpRequest", "WebSocket"];
new Function(...names, script)(window, document, getComputedStyle, setInterval, clearInterval, forbidden, forbidden, forbidden);

// --- what a reader does -------------------------------------------------------------

const rows = (id) => find(id).querySelector("tbody").children;
const marked = () => new Set(find("mesh").drawn.filter(([what, ink]) => what === "frame" && ink === "--mark").map(([, , x, y]) => `${x},${y}`)).size;
const chosen = () => [...find("lines").all()].filter((line) => (line.attributes.class || "").includes("chosen")).length;
const runs = JSON.parse(data);
const report = { title: find("title").textContent, kernels: rows("table").length, stalls: rows("stalls").length, nodes: {}, frames: 0 };

for (const row of [...rows("table")]) {
  const node = row.children[2].textContent;
  find("mesh").drawn.length = 0;
  row.send("click");
  report.nodes[node] = { tiles: marked(), lines: chosen() };
}
for (const option of find("layer").children) {
  find("layer").value = option.attributes.value;
  find("least").checked = !find("least").checked;
  find("layer").send("change");
}
for (const head of find("table").querySelector("thead").children[0].children) head.send("click");
find("filter").value = "no kernel has this name";
find("filter").send("input");
report.filtered = rows("table").length;
find("filter").value = "";
find("filter").send("input");
find("mesh").send("click", { clientX: 99, clientY: 99 });
for (const key of ["ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown", "Enter"]) find("mesh").send("keydown", { key });
report.tile = find("tile").children[0].textContent;
for (const row of rows("stalls")) row.send("click");
for (const line of find("lines").children) line.send("click");

// Each node of the network, and how many lines it marks.
report.boxes = {};
for (const box of find("graph").all()) {
  if (!(box.attributes.class || "").split(" ").includes("box")) continue;
  const [title, shape] = box.children;
  if (shape.attributes.class !== "node") continue;
  box.send("click");
  report.boxes[title.textContent] = chosen();
}

if (runs[0].replay) {
  find("layer").value = "replay";
  find("layer").send("change");
  const states = [];
  for (let cycle = 0; cycle < runs[0].replay.cycles; cycle += 1) {
    find("mesh").drawn.length = 0;
    find("cycle").value = String(cycle);
    find("cycle").send("input");
    const inks = find("mesh").drawn.filter(([what]) => what === "fill").slice(1).map(([, ink]) => ink);
    const tiles = runs[0].width * runs[0].height;
    states.push(inks.slice(0, tiles));
    report.told = [...(report.told || []), find("told").textContent];
    report.lit = [...(report.lit || []), inks.length - tiles];
    for (const option of [...find("over").children].reverse()) {
      find("over").value = option.attributes.value;
      find("over").send("change");
    }
  }
  report.replayed = states;
  report.over = [...find("over").children].map((option) => option.textContent);
  find("back").send("click");
  find("on").send("click");
  find("cycle").value = "0";
  find("cycle").send("input");
  find("play").send("click");
  while (timers.some(Boolean)) timers.filter(Boolean).forEach((tick) => tick());
  report.played = find("now").textContent;
}
report.spans = {};
for (const option of [...find("span").children].reverse()) {
  find("span").value = option.attributes.value;
  find("span").send("change");
  report.spans[option.textContent] = { stalls: rows("stalls").length, tile: find("tile").textContent };
}
report.runs = find("runs").children.filter((child) => child instanceof Element).map((button) => button.textContent);
report.compared = rows("compared").map((row) => row.children.map((cell) => cell.textContent));
for (let place = 0; place < report.runs.length; place += 1) {
  find("runs").children.filter((child) => child instanceof Element)[place].send("click");
  report[`kernels of ${place}`] = rows("table").length;
}
console.log(JSON.stringify(report));
