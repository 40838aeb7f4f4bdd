"use strict";
// The page of a run, or of several that can be told apart. One function a part of the page; what is
// chosen is told to all of them.
const runs = JSON.parse(document.getElementById("data").textContent);
const blank = document.querySelector("main").cloneNode(true);

let timer = 0;  // of a replay that plays

// Show one of the runs in the page as it was at first.
function display(number) {
  const data = runs[number];
  const at = (id) => document.getElementById(id);
  const count = (value) =>
    value === null || value === undefined ? "" : Number(value).toLocaleString("en", { maximumFractionDigits: 1 });
  const percent = (value) => (value === null ? "" : `${(100 * value).toFixed(1)}%`);

  // An element with its attributes and children; texts are only ever texts.
  function make(tag, attributes = {}, ...children) {
    const spaced = ["svg", "line", "rect", "circle", "path", "text", "title", "g"].includes(tag);
    const made = spaced ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") made.addEventListener("click", value);
      else made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // --- what is chosen ---------------------------------------------------------------

  const chosen = { x: 0, y: 0, nodes: new Set(), line: 0 };
  const listeners = [];

  function choose(change) {
    Object.assign(chosen, change);
    for (const listener of listeners) listener();
  }

  // Cycles that are looked at: the whole run, or one of its windows.
  const spanListeners = [];
  const span = () => data.spans[Number(at("span").value) || 0];

  const chooseNodes = (nodes, line = 0) => choose({ nodes: new Set(nodes), line });
  const shares = (nodes) => nodes.some((node) => chosen.nodes.has(node));

  // --- the top ----------------------------------------------------------------------

  const STATES = { busy: "#2c7fb8", "stalled on input": "#d95f0e", "stalled on output": "#b2182b", waiting: "#7a5195", idle: "#8c939b" };

  function top() {
    at("title").textContent = data.title;
    for (const [head, text] of data.facts) at("facts").append(make("dt", {}, head), make("dd", {}, text));
    spanListeners.push(() => {
      const { states } = span();
      const total = Object.values(states).reduce((a, b) => a + b, 0) || 1;
      at("states").replaceChildren(...Object.entries(states).map(([name, cycles]) => {
        const share = cycles / total;
        const label = share > 0.08 ? `${name} ${percent(share)}` : "";
        const style = `width:${100 * share}%;background:${STATES[name]}`;
        return make("i", { style, title: `${name}: ${percent(share)} of main threads` }, label);
      }));
    });
  }

  // --- the fabric -------------------------------------------------------------------

  // From dark to bright, even in lightness: blue, green, yellow.
  const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

  function color(share) {
    const place = Math.min(Math.max(share, 0), 1) * (STOPS.length - 1);
    const first = Math.min(Math.floor(place), STOPS.length - 2);
    const part = place - first;
    const mixed = STOPS[first].map((value, i) => Math.round(value + part * (STOPS[first + 1][i] - value)));
    return `rgb(${mixed.join(",")})`;
  }

  const largest = (layer) => {
    const grids = layer.sides ? Object.values(layer.sides) : [layer.grid];
    return grids.reduce((most, grid) => grid.reduce((a, row) => row.reduce((b, v) => Math.max(b, v), a), most), 0);
  };

  const least = (layer) => layer.grid.reduce((a, row) => row.reduce((b, v) => Math.min(b, v), a), Infinity);

  // What a tile has of a layer: of links, all that left it.
  function value(layer, x, y) {
    if (!layer.sides) return layer.grid[y][x];
    return Object.values(layer.sides).reduce((sum, grid) => sum + grid[y][x], 0);
  }

  // The layers of the span, and the replay; the layer that was shown stays if the span has it.
  function layerChoices() {
    data.spans.forEach((item, place) => at("span").append(make("option", { value: place }, item.name)));
    at("spans").hidden = data.spans.length < 2;
    at("span").addEventListener("change", () => spanListeners.forEach((listener) => listener()));
    spanListeners.push(() => {
      const before = at("layer").value;
      const choices = span().layers.map((layer) => make("option", { value: layer.name }, layer.name));
      if (data.replay) choices.push(make("option", { value: "replay" }, `replay of cycles ${count(data.replay.first)} to ${count(data.replay.first + data.replay.cycles - 1)}`));
      at("layer").replaceChildren(...choices);
      const kept = before === "replay" || span().layers.some((layer) => layer.name === before);
      at("layer").value = kept ? before : span().layers[0].name;
    });
  }

  const replayed = () => Boolean(data.replay) && at("layer").value === "replay";

  function mesh() {
    const canvas = at("mesh");
    const { width, height } = data;
    const size = Math.max(4, Math.min(44, Math.floor(720 / Math.max(width, height))));
    const ratio = window.devicePixelRatio || 1;
    canvas.width = (width * size + 1) * ratio;
    canvas.height = (height * size + 1) * ratio;
    canvas.style.width = `${width * size + 1}px`;
    const pen = canvas.getContext("2d");
    let cycle = 0;

    // The state and line of a tile in a cycle of the window: its last entry that has begun by then.
    function stateOf(tile) {
      const entries = data.replay.tiles[tile];
      const entry = entries[lastBefore(entries.length, (place) => entries[place][0])];
      return entry && cycle < entry[0] + entry[1] ? entry : null;
    }

    // The last of some entries, in the order of time, that has begun by now; -1 for none.
    function lastBefore(entries, begin) {
      let low = 0, high = entries;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (begin(middle) <= cycle) low = middle + 1;
        else high = middle;
      }
      return low - 1;
    }

    // Of pairs that follow `skip` other fields: the place of the last pair that has begun, or -1.
    function pairAt(row, skip) {
      const place = lastBefore((row.length - skip) / 2, (pair) => row[skip + 2 * pair]);
      return place < 0 ? -1 : skip + 2 * place;
    }

    const sends = (link) => {
      const place = pairAt(link, 3);
      return place >= 0 && cycle < link[place] + link[place + 1];
    };
    const network = data.replay?.network;
    const colorName = (number) => network.colors[number] ?? "dynamic network";
    const hue = (number) => (number < network.colors.length ? `hsl(${(number * 137) % 360} 75% 50%)` : "#8c939b");

    // What is drawn over the states: wavelets, the switches of one color, or one semaphore.
    function overChoices() {
      at("overs").hidden = !network;
      if (!network) return;
      const switched = [...new Set(network.switches.map((row) => row[1]))].sort((a, b) => a - b);
      const numbers = [...new Set(network.semaphores.map((row) => row[1]))].sort((a, b) => a - b);
      at("over").append(make("option", { value: "wavelets" }, "wavelets"),
        ...switched.map((number) => make("option", { value: `switch ${number}` }, `switches of ${colorName(number)} (in white, out yellow)`)),
        ...numbers.map((number) => make("option", { value: `semaphore ${number}` }, `semaphore s${number}`)));
      at("over").addEventListener("change", draw);
    }

    // Bars from the middle of a tile to its sides: where a switch lets wavelets in, and out.
    function drawSwitch(tile, way) {
      const [receives, ways] = way.split(" -> ");
      const left = (tile % width) * size, upper = Math.floor(tile / width) * size, middle = size / 2, bar = Math.max(2, size / 7);
      const boxes = {
        N: [left + middle - bar / 2, upper, bar, middle], S: [left + middle - bar / 2, upper + middle, bar, middle],
        E: [left + middle, upper + middle - bar / 2, middle, bar], W: [left, upper + middle - bar / 2, middle, bar],
        RAMP: [left + middle - bar, upper + middle - bar, 2 * bar, 2 * bar],
      };
      for (const side of ways.split(", ")) {
        pen.fillStyle = "#fde725";
        pen.fillRect(...boxes[side]);
      }
      pen.fillStyle = "#ffffff";
      pen.fillRect(...boxes[receives]);
    }

    function drawOver() {
      const [kind, number] = at("over").value.split(" ");
      if (kind === "wavelets") {
        for (const link of network.links) {
          const side = ["north", "east", "south", "west"][link[2]];
          if (!side || !sends(link)) continue;
          pen.fillStyle = hue(link[1]);
          pen.fillRect(...lanes(link[0] % width, Math.floor(link[0] / width))[side]);
        }
      } else if (kind === "switch") {
        for (const row of network.switches) if (row[1] === Number(number)) drawSwitch(row[0], row[2][row[pairAt(row, 3) + 1]]);
      } else {
        pen.fillStyle = "#ffffff";
        pen.font = `${Math.max(8, Math.floor(size / 3))}px system-ui, sans-serif`;
        for (const row of network.semaphores) {
          const place = row[1] === Number(number) ? pairAt(row, 2) : -1;
          if (place >= 0) pen.fillText(String(row[place + 1]), (row[0] % width) * size + size / 4, Math.floor(row[0] / width) * size + size * 0.62);
        }
      }
    }

    // What the chosen tile's router and semaphores do now, in words.
    function told(tile) {
      if (!network) return [];
      const lines = [];
      const leaving = network.links.filter((link) => link[0] === tile && sends(link));
      const to = (link) => ["to N", "to E", "to S", "to W", "to the core", "from the core"][link[2]];
      if (leaving.length) lines.push(`wavelets: ${leaving.map((link) => `${colorName(link[1])} ${to(link)}`).join(", ")}`);
      for (const row of network.switches) {
        if (row[0] !== tile) continue;
        const position = row[pairAt(row, 3) + 1];
        lines.push(`switch of ${colorName(row[1])}: position ${position + 1} of ${row[2].length}, ${row[2][position]}`);
      }
      for (const row of network.semaphores) {
        const place = row[0] === tile ? pairAt(row, 2) : -1;
        if (place >= 0) lines.push(`semaphore s${row[1]}: ${row[place + 1]}`);
      }
      return lines;
    }

    function drawReplay() {
      const inks = Object.values(STATES);  // busy, on input, on output, waiting, idle
      const style = getComputedStyle(document.body);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.fillStyle = style.getPropertyValue("--paper");
      pen.fillRect(0, 0, width * size + 1, height * size + 1);
      for (let tile = 0; tile < width * height; tile += 1) {
        const entry = stateOf(tile);
        pen.fillStyle = entry ? inks[[0, 1, 2, 3, 3, 2][entry[2]]] : inks[4];
        pen.fillRect((tile % width) * size + 1, Math.floor(tile / width) * size + 1, size - 1, size - 1);
      }
      if (network && size >= 6) drawOver();
      frame(chosen.x, chosen.y, style.getPropertyValue("--ink"), 2.5);
      const entry = stateOf(chosen.y * width + chosen.x);
      at("told").textContent = told(chosen.y * width + chosen.x).join("\n");
      at("cycle").value = String(cycle);
      at("now").textContent = `cycle ${count(data.replay.first + cycle)}: tile ${chosen.x},${chosen.y} ${entry ? `${Object.keys(STATES)[[0, 1, 2, 3, 3, 2][entry[2]]]} at line ${entry[3] || "?"}` : "idle"}${data.replay.left_out ? `; ${data.replay.left_out}` : ""}`;
      at("scale").replaceChildren(...Object.entries(STATES).flatMap(([name, ink]) => [make("span", { style: `display:inline-block;width:.8rem;height:.8rem;background:${ink}` }), ` ${name} `]));
    }

    function go(to) {
      cycle = Math.min(Math.max(to, 0), data.replay.cycles - 1);
      draw();
    }

    function play() {
      if (timer) {
        clearInterval(timer);
        timer = 0;
      } else {
        timer = setInterval(() => {
          go(cycle + Number(at("speed").value) / 10);
          if (cycle >= data.replay.cycles - 1) play();
        }, 40);
      }
      at("play").textContent = timer ? "stop" : "play";
    }

    if (data.replay) {
      at("cycle").max = String(data.replay.cycles - 1);
      at("cycle").addEventListener("input", () => go(Number(at("cycle").value)));
      at("play").addEventListener("click", play);
      at("back").addEventListener("click", () => go(Math.ceil(cycle) - 1));
      at("on").addEventListener("click", () => go(Math.floor(cycle) + 1));
    }

    function draw() {
      at("replay").hidden = at("told").hidden = !replayed();
      if (replayed()) {
        drawReplay();
        return;
      }
      const layer = span().layers.find((item) => item.name === at("layer").value);
      const most = largest(layer) || 1;
      const links = Boolean(layer.sides) && size >= 12;
      const low = at("least").checked && !layer.sides ? least(layer) : 0;
      const style = getComputedStyle(document.body);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.fillStyle = style.getPropertyValue("--paper");
      pen.fillRect(0, 0, width * size + 1, height * size + 1);
      for (let y = 0; y < height; y += 1) {
        for (let x = 0; x < width; x += 1) {
          if (links) drawLinks(layer, x, y, most);
          else {
            const whole = (layer.sides ? most * 4 : most) - low || 1;
            pen.fillStyle = color((value(layer, x, y) - low) / whole);
            pen.fillRect(x * size + 1, y * size + 1, size - (size > 6 ? 1 : 0), size - (size > 6 ? 1 : 0));
          }
          if (holds(x, y)) frame(x, y, style.getPropertyValue("--mark"), 1.5);
        }
      }
      frame(chosen.x, chosen.y, style.getPropertyValue("--ink"), 2.5);
      scale(low, most, layer.unit);
    }

    // Two lanes between two tiles: what leaves on a side is on the right of its way.
    function drawLinks(layer, x, y, most) {
      pen.fillStyle = getComputedStyle(document.body).getPropertyValue("--soft");
      pen.fillRect(x * size + size * 0.28, y * size + size * 0.28, size * 0.44, size * 0.44);
      const boxes = lanes(x, y);
      for (const [side, grid] of Object.entries(layer.sides)) {
        if (!boxes[side] || !grid[y][x]) continue;
        pen.fillStyle = color(grid[y][x] / most);
        pen.fillRect(...boxes[side]);
      }
    }

    function lanes(x, y) {
      const left = x * size, upper = y * size, middle = size / 2, lane = Math.max(2, size / 8), reach = size * 0.28;
      return {
        north: [left + middle + 1, upper, lane, reach],
        south: [left + middle - lane - 1, upper + size - reach, lane, reach],
        east: [left + size - reach, upper + middle + 1, reach, lane],
        west: [left, upper + middle - lane - 1, reach, lane],
      };
    }

    function holds(x, y) {
      for (const name of chosen.nodes) {
        const node = data.nodes[name];
        if (node && node.columns.includes(x) && node.rows.includes(y)) return true;
      }
      return false;
    }

    function frame(x, y, ink, wide) {
      pen.strokeStyle = ink;
      pen.lineWidth = wide;
      pen.strokeRect(x * size + 1, y * size + 1, size - 1, size - 1);
    }

    function scale(low, most, unit) {
      const stops = [0, 0.25, 0.5, 0.75, 1].map(color).join(",");
      const bar = make("span", { style: `display:inline-block;width:9rem;height:.7rem;background:linear-gradient(90deg,${stops})` });
      at("scale").replaceChildren(` ${count(low)} `, bar, ` ${count(most)} ${unit}`);
    }

    canvas.addEventListener("click", (event) => {
      const box = canvas.getBoundingClientRect();
      const x = Math.floor(((event.clientX - box.left) / box.width) * width);
      const y = Math.floor(((event.clientY - box.top) / box.height) * height);
      choose({ x: Math.min(Math.max(x, 0), width - 1), y: Math.min(Math.max(y, 0), height - 1) });
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      choose({
        x: Math.min(Math.max(chosen.x + step[0], 0), width - 1),
        y: Math.min(Math.max(chosen.y + step[1], 0), height - 1),
      });
    });
    for (const id of ["layer", "least"]) at(id).addEventListener("change", draw);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    overChoices();
    listeners.push(draw);
    spanListeners.push(draw);
  }

  // One tile: its numbers, the busiest colors through it, and its routes.
  function tile() {
    function draw() {
      const { x, y } = chosen;
      const place = data.block === 1 ? `Tile ${x},${y}` : `Tiles from ${x * data.block},${y * data.block}, mean of ${data.block}x${data.block}`;
      const table = make("table");
      for (const layer of span().layers) {
        const here = value(layer, x, y);
        if (here) table.append(make("tr", {}, make("td", {}, layer.name), make("td", {}, `${count(here)} ${layer.unit}${sides(layer, x, y)}`)));
      }
      const held = Object.entries(data.nodes).filter(([, node]) => node.columns.includes(x) && node.rows.includes(y));
      const names = held.flatMap(([name]) => [make("a", { href: "#fabric", onclick: () => chooseNode(name) }, name), ", "]).slice(0, -1);
      const routes = data.routes.grid.length ? data.routes.lists[data.routes.grid[y][x]] : [];
      at("tile").replaceChildren(
        make("h3", {}, place), table,
        make("h3", {}, "holds parts of"), make("p", {}, ...(names.length ? names : ["nothing"])),
        ...(routes.length ? [make("h3", {}, "routes"), make("pre", {}, routes.join("\n"))] : []),
      );
    }
    listeners.push(draw);
    spanListeners.push(draw);
  }

  function sides(layer, x, y) {
    if (!layer.sides) return "";
    const texts = Object.entries(layer.sides).filter(([, grid]) => grid[y][x]).map(([side, grid]) => `${side} ${count(grid[y][x])}`);
    return texts.length > 1 ? ` (${texts.join(", ")})` : ` ${texts.join("").split(" ")[0]}`;
  }

  // --- what to change first ---------------------------------------------------------

  function advice() {
    for (const item of data.advice) {
      const text = `${item.node || item.kernel}: ${count(item.gain)} cycles to gain`;
      at("advice").append(make("li", { onclick: () => chooseNodes(item.nodes, item.line) }, make("b", {}, text), ` ${item.kernel} ${item.text}`));
    }
    if (!data.advice.length) at("advice").append(make("p", {}, "Every kernel is at its bound."));
  }

  // --- kernels ----------------------------------------------------------------------

  const COLUMNS = [
    ["line", "line", count, true],
    ["kernel", "kernel", String, false],
    ["node", "node", String, false],
    ["added", "added cycles", count, true],
    ["share", "share", percent, true],
    ["predicted", "predicted", count, true],
    ["cycles", "cycles", count, true],
    ["start", "start", count, true],
    ["macs", "MACs", count, true],
    ["bound", "bound by", String, false],
    ["of_bound", "of bound", percent, true],
    ["mac", "mac", percent, true],
    ["other", "other", percent, true],
    ["wait", "wait", percent, true],
  ];

  function kernels() {
    const rows = data.kernels.map((row) => ({ ...row, ...row.shares, share: row.added / Math.max(data.cycles, 1) }));
    const body = at("table").querySelector("tbody");
    const order = { key: "added", down: true };
    const heads = COLUMNS.map(([key, text, , number]) =>
      make("th", { class: number ? "number" : "", tabindex: 0, onclick: () => sort(key) }, text));
    heads.forEach((head, place) => head.addEventListener("keydown", (event) => event.key === "Enter" && sort(COLUMNS[place][0])));
    at("table").querySelector("thead").append(make("tr", {}, ...heads));

    function sort(key) {
      order.down = order.key === key ? !order.down : COLUMNS.find((column) => column[0] === key)[3];
      order.key = key;
      draw();
    }

    function draw() {
      const wanted = at("filter").value.toLowerCase();
      const known = rows.filter((row) => `${row.kernel} ${row.node}`.toLowerCase().includes(wanted));
      const way = order.down ? -1 : 1;
      known.sort((one, other) => {
        const [a, b] = [one[order.key] ?? -1, other[order.key] ?? -1];
        return way * (typeof a === "string" ? a.localeCompare(String(b)) : a - b);
      });
      heads.forEach((head, place) => {
        const [key, text] = COLUMNS[place];
        head.textContent = key === order.key ? `${text} ${order.down ? "▾" : "▴"}` : text;
      });
      body.replaceChildren(...known.map((row) =>
        make("tr", { onclick: () => chooseNodes(row.nodes, row.line), class: shares(row.nodes) ? "chosen" : "" },
          ...COLUMNS.map(([key, , show, number]) => make("td", { class: number ? "number" : "name" }, show(row[key] ?? null) === "null" ? "" : show(row[key] ?? null))))));
    }

    at("filter").addEventListener("input", draw);
    listeners.push(draw);
  }

  function timeline() {
    const wide = 1200, high = 14;
    const lanes = [];  // a lane takes kernels that do not overlap
    const placed = data.kernels.filter((row) => row.end > row.start).map((row) => {
      let lane = lanes.findIndex((end) => end <= row.start);
      if (lane < 0) lane = lanes.push(0) - 1;
      lanes[lane] = row.end;
      return [row, lane];
    });
    const whole = Math.max(data.cycles, 1);
    const hues = { compute: "#2c7fb8", link: "#7a5195", io: "#d95f0e", "": "#8c939b" };
    const picture = make("svg", { viewBox: `0 0 ${wide} ${lanes.length * high + 18}` });
    for (const [row, lane] of placed) {
      const x = (row.start / whole) * wide, w = Math.max(((row.end - row.start) / whole) * wide, 1);
      picture.append(make("rect", { class: "dot", x, y: lane * high, width: w, height: high - 2, fill: hues[row.bound], onclick: () => chooseNodes(row.nodes, row.line) },
        make("title", {}, `${row.kernel} ${row.node}: ${count(row.start)} to ${count(row.end)}, bound by ${row.bound || "nothing"}`)));
    }
    picture.append(make("text", { x: 0, y: lanes.length * high + 14 }, "cycle 0"),
      make("text", { x: wide, y: lanes.length * high + 14, "text-anchor": "end" }, count(data.cycles)));
    at("timeline").append(picture);
  }

  // --- network ----------------------------------------------------------------------

  function network() {
    const { boxes, arrows } = data.graph;
    const wide = 190, high = 30, across = 210, down = 58;  // of a box; from one to the next
    const columns = boxes.reduce((most, box) => Math.max(most, box.place + 1), 1);
    const layers = boxes.reduce((most, box) => Math.max(most, box.layer + 1), 1);
    const counts = new Map();
    for (const box of boxes) counts.set(box.layer, (counts.get(box.layer) || 0) + 1);
    // Layers stand in the middle.
    const left = (box) => (box.place + (columns - counts.get(box.layer)) / 2) * across + 8;
    const above = (box) => box.layer * down + 8;
    const most = boxes.reduce((largestSoFar, box) => Math.max(largestSoFar, box.cycles), 1);
    const picture = make("svg", { width: columns * across + 16, height: layers * down + 16 });
    for (const arrow of arrows) {
      const [giver, taker] = [boxes[arrow.from], boxes[arrow.to]];
      const x1 = left(giver) + wide / 2, y1 = above(giver) + high, x2 = left(taker) + wide / 2, y2 = above(taker);
      const d = arrow.back
        ? `M${left(giver) + wide},${y1 - high / 2} C${left(giver) + wide + 40},${y1} ${left(taker) + wide + 40},${y2} ${left(taker) + wide},${y2 + high / 2}`
        : `M${x1},${y1} C${x1},${(y1 + y2) / 2} ${x2},${(y1 + y2) / 2} ${x2},${y2}`;
      picture.append(make("path", { class: arrow.back ? "flow back" : "flow", d },
        make("title", {}, `${arrow.tensors.join(", ")}: from ${giver.name} to ${taker.name}${arrow.back ? ", in the next turn" : ""}`)));
    }
    const drawn = boxes.map((box) => {
      const [x, y] = [left(box), above(box)];
      const short = box.name.length > 27 ? `...${box.name.slice(-25)}` : box.name;
      const head = box.kind ? `${box.kind} ${box.name}` : `${box.name}: ${count(box.cycles)} cycles added, ${count(box.brought)} bytes over the edge`;
      const bar = (box.cycles / most) * wide;
      const made = make("g", { class: "box", onclick: () => box.kind || chooseNodes(box.nodes, box.line) },
        make("title", {}, head),
        make("rect", { class: box.kind ? "end" : "node", x, y, width: wide, height: high, rx: box.kind ? 14 : 2 }),
        make("rect", { x, y: y + high - 4, width: Math.max(bar, 0), height: 4, fill: "#d95f0e" }),
        make("text", { x: x + 6, y: y + 12 }, short),
        make("text", { x: x + 6, y: y + 24, class: "small" }, box.kind || `${count(box.cycles)} cycles (${percent(box.cycles / Math.max(data.cycles, 1))})`));
      picture.append(made);
      return made;
    });
    at("graph").append(picture);
    listeners.push(() => drawn.forEach((item, place) => item.classList.toggle("chosen", shares(boxes[place].nodes))));
  }

  // --- assembly ---------------------------------------------------------------------

  function assembly() {
    const box = at("lines");
    const most = data.lines.reduce((largestSoFar, line) => Math.max(largestSoFar, line[3] ?? 0), 1);
    const made = data.lines.map(([number, text, nodes, cycles]) => {
      const hot = cycles > most / 10 ? "hot" : "";
      return make("div", { onclick: () => choose({ nodes: new Set(nodes), line: number }) },
        make("span", { class: hot }, cycles === null ? "" : count(cycles)), make("span", {}, number ? String(number) : ""), text || " ");
    });
    box.append(...made);
    let before = 0;
    listeners.push(() => {
      made.forEach((line, place) => line.classList.toggle("chosen", shares(data.lines[place][2])));
      if (chosen.line && chosen.line !== before) {
        const place = data.lines.findIndex((line) => line[0] === chosen.line);
        if (place >= 0) box.scrollTop = made[place].offsetTop - box.offsetTop - box.clientHeight / 3;
      }
      before = chosen.line;
    });
  }

  // --- roofline ---------------------------------------------------------------------

  function roofline() {
    const points = data.kernels.filter((row) => row.macs && row.bytes && row.cycles)
      .map((row) => ({ row, x: row.macs / row.bytes, y: row.macs / row.cycles }));
    if (!points.length) {
      at("roof").append(make("p", {}, "No kernel multiplies what comes over the edge."));
      return;
    }
    const { compute, io } = data.roof;
    const ridge = compute / io;
    const xs = [...points.map((point) => point.x), ridge], ys = [...points.map((point) => point.y), compute];
    const low = [Math.min(...xs) / 2, Math.min(...ys) / 2], high = [Math.max(...xs) * 4, compute * 2];
    const wide = 720, tall = 320, left = 64, bottom = 36;
    const across = (v) => left + ((Math.log(v) - Math.log(low[0])) / (Math.log(high[0]) - Math.log(low[0]))) * (wide - left - 12);
    const up = (v) => 8 + (1 - (Math.log(v) - Math.log(low[1])) / (Math.log(high[1]) - Math.log(low[1]))) * (tall - bottom - 8);
    const picture = make("svg", { viewBox: `0 0 ${wide} ${tall}`, width: wide });
    for (const [start, end, place] of [[low[0], high[0], 0], [low[1], high[1], 1]]) {
      for (let e = Math.ceil(Math.log10(start)); e <= Math.log10(end); e += 1) {
        const v = 10 ** e;
        if (place) picture.append(make("line", { class: "grid", x1: left, x2: wide - 12, y1: up(v), y2: up(v) }), make("text", { x: left - 6, y: up(v) + 4, "text-anchor": "end" }, count(v)));
        else picture.append(make("line", { class: "grid", x1: across(v), x2: across(v), y1: 8, y2: tall - bottom }), make("text", { x: across(v), y: tall - bottom + 14, "text-anchor": "middle" }, v < 1 ? v.toPrecision(1) : count(v)));
      }
    }
    const bend = Math.max(ridge, low[0]);
    picture.append(make("path", { class: "axis", d: `M${across(low[0])},${up(Math.max(Math.min(io * low[0], compute), low[1]))} L${across(bend)},${up(compute)} L${across(high[0])},${up(compute)}` }));
    for (const { row, x, y } of points) {
      picture.append(make("circle", { class: "dot", cx: across(x), cy: up(y), r: 5, fill: "#2c7fb8", onclick: () => chooseNodes(row.nodes, row.line) },
        make("title", {}, `${row.kernel} ${row.node}: ${count(y)} multiply-accumulates a cycle, ${count(x)} for each byte of the edge`)));
    }
    picture.append(make("text", { x: (wide + left) / 2, y: tall - 4, "text-anchor": "middle" }, "multiply-accumulates for each byte over the edge"),
      make("text", { x: left + 6, y: 20 }, "multiply-accumulates a cycle"));
    at("roof").append(picture);
  }

  // --- the edge over time -----------------------------------------------------------

  // What the edge moved and the cores multiplied, as parts of what they could: each kernel's share is
  // spread evenly over its time, from its first tile's start to its last one's end.
  function edge() {
    const parts = 240, wide = 1200, tall = 160, top = 16, whole = Math.max(data.cycles, 1);
    const kinds = [
      ["bytes in", "brought", data.roof.io, "#d95f0e"],
      ["bytes out", "taken", data.roof.io, "#b2182b"],
      ["multiply-accumulates, repeated ones too", "macs", data.roof.compute, "#2c7fb8"],
    ];
    const picture = make("svg", { viewBox: `0 0 ${wide} ${tall + 20}` });
    for (const share of [0, 0.5, 1]) {
      const y = top + (1 - share) * (tall - top - 8);
      picture.append(make("line", { class: "grid", x1: 0, x2: wide, y1: y, y2: y }), make("text", { x: 2, y: y - 2 }, percent(share)));
    }
    const legend = make("p");
    for (const [name, key, most, ink] of kinds) {
      const series = new Array(parts).fill(0);
      for (const row of data.kernels) {
        if (!row[key]) continue;
        // A kernel that took no time has its share in the part that it lies in.
        const first = (row.start / whole) * parts, last = Math.max((row.end / whole) * parts, first + 1e-9);
        for (let part = Math.floor(first); part < Math.min(last, parts); part += 1) {
          const inside = Math.min(part + 1, last) - Math.max(part, first);
          series[part] += ((row[key] * inside) / (last - first)) / ((whole / parts) * most);
        }
      }
      const up = (value) => top + (1 - Math.min(value, 1)) * (tall - top - 8);
      const points = series.flatMap((value, part) => [`${(part / parts) * wide},${up(value)}`, `${((part + 1) / parts) * wide},${up(value)}`]);
      picture.append(make("path", { d: `M${points.join(" L")}`, fill: "none", stroke: ink, "stroke-width": 1.5 }, make("title", {}, name)));
      const total = data.kernels.reduce((sum, row) => sum + (row[key] || 0), 0);
      legend.append(make("span", { style: `display:inline-block;width:.8rem;height:.8rem;background:${ink}` }), ` ${name}: ${percent(total / (whole * most))} of what ${key === "macs" ? "all cores" : "the edge"} could in this time `);
    }
    picture.append(make("text", { x: 0, y: tall + 14 }, "cycle 0"), make("text", { x: wide, y: tall + 14, "text-anchor": "end" }, count(data.cycles)));
    at("io").append(picture, legend, make("p", { class: "hint" }, "Each kernel's share is spread evenly over its time."));
  }

  // --- memory and energy ------------------------------------------------------------

  function memory() {
    const { limit, data: bytes, code } = data.sram;
    const row = 12, wide = 900, left = 0;
    const picture = make("svg", { viewBox: `0 0 ${wide} ${data.memory.length * row + 22}`, width: wide });
    const most = Math.max(...data.memory.map((item) => item.at + item.bytes), 1);
    data.memory.forEach((item, place) => {
      const x = left + (item.at / most) * wide * 0.7;
      picture.append(make("rect", { class: "dot", x, y: place * row, width: Math.max((item.bytes / most) * wide * 0.7, 1), height: row - 2, fill: "#2c7fb8", onclick: () => chooseNodes(item.nodes) },
        make("title", {}, `${item.name}: bytes ${count(item.at)} to ${count(item.at + item.bytes)}`)),
      make("text", { x: x + (item.bytes / most) * wide * 0.7 + 4, y: place * row + 9 }, item.name));
    });
    at("sram").append(make("p", {}, `${count(bytes)} bytes of data and ${count(code)} of code in the fullest tile, of ${count(limit)}`), picture);
    const total = Object.values(data.energy).reduce((a, b) => a + b, 0) || 1;
    const table = make("table");
    for (const [name, value] of Object.entries(data.energy).sort((a, b) => b[1] - a[1])) {
      const bar = make("span", { style: `display:inline-block;height:.7rem;background:#2c7fb8;width:${(16 * value) / total}rem` });
      table.append(make("tr", {}, make("td", {}, name.replaceAll("_", " ")), make("td", { style: "text-align:right;padding:0 1rem" }, `${value.toFixed(3)} uJ`), make("td", {}, bar, ` ${percent(value / total)}`)));
    }
    at("energy").append(make("h3", {}, "energy by cause, modelled"), table);
  }

  // --- several runs -----------------------------------------------------------------

  function several() {
    if (runs.length < 2) return;
    at("runs").hidden = at("both").hidden = false;
    runs.forEach((run, place) => {
      const button = make("button", { type: "button", class: place === number ? "chosen" : "", onclick: () => reopen(place) }, run.name);
      at("runs").append(button, " ");
    });
    // Kernels of one node, and of one name, belong together; in the order of the first run.
    const sums = new Map();
    runs.forEach((run, place) => run.kernels.forEach((row) => {
      const key = `${row.node}|${row.node ? "" : row.kernel}`;
      if (!sums.has(key)) sums.set(key, { name: row.node || row.kernel, node: row.node, cycles: runs.map(() => 0) });
      sums.get(key).cycles[place] += row.added;
    }));
    const heads = ["node", ...runs.map((run) => `${run.name}, added cycles`), "difference"];
    at("compared").querySelector("thead").append(make("tr", {}, ...heads.map((text, place) => make("th", { class: place ? "number" : "" }, text))));
    const whole = { name: "the run", node: "", cycles: runs.map((run) => run.cycles) };
    const change = (item) => item.cycles[item.cycles.length - 1] - item.cycles[0];
    const sorted = [...sums.values()].sort((a, b) => Math.abs(change(b)) - Math.abs(change(a)));
    for (const item of [whole, ...sorted]) {
      at("compared").querySelector("tbody").append(make("tr", { onclick: () => item.node && chooseNode(item.node) },
        make("td", { class: "name" }, item.name), ...item.cycles.map((cycles) => make("td", { class: "number" }, count(cycles))),
        make("td", { class: "number" }, `${change(item) > 0 ? "+" : ""}${count(change(item))}`)));
    }
  }

  // --- waits ------------------------------------------------------------------------

  function waits() {
    const heads = ["cycles", "line", "procedure", "instruction", "waits for"];
    at("stalls").querySelector("thead").append(make("tr", {}, ...heads.map((text, place) => make("th", { class: place < 2 ? "number" : "" }, text))));
    spanListeners.push(() => at("stalls").querySelector("tbody").replaceChildren(...span().stalls.map((item) =>
      make("tr", { onclick: () => choose({ line: item.line }) },
        make("td", { class: "number" }, count(item.cycles)), make("td", { class: "number" }, item.line ? String(item.line) : ""),
        ...[item.procedure, item.instruction, item.waits_for].map((text) => make("td", { class: "name" }, text))))));
  }

  for (const part of [several, layerChoices, top, mesh, tile, advice, waits, kernels, timeline, network, assembly, roofline, edge, memory]) part();
  for (const listener of spanListeners) listener();
  choose({ x: Math.floor(data.width / 2), y: Math.floor(data.height / 2) });
}

function reopen(number) {
  clearInterval(timer);
  timer = 0;
  document.querySelector("main").replaceWith(blank.cloneNode(true));
  display(number);
}

display(0);
