'use strict';
(() => {
  const { tiles, people } = JSON.parse(document.getElementById('data').textContent);
  const byId = (id) => document.getElementById(id);
  const map = byId('map'), stage = byId('stage'), panel = byId('panel'), tip = byId('tip');
  const search = byId('search'), results = byId('results');

  // What is drawn of each tile, of each line, and of each process.
  const shapes = new Map(), wires = new Map(), drawn = new Map(), inhabited = new Map();
  const push = (to, key, value) => to.has(key) ? to.get(key).push(value) : to.set(key, [value]);
  map.querySelectorAll('g[data-t]').forEach((shape) => shapes.set(Number(shape.dataset.t), shape));
  map.querySelectorAll('.lines path').forEach((path) => {
    push(wires, Number(path.dataset.f), path);
    push(wires, Number(path.dataset.t), path);
  });
  tiles.forEach((tile, id) => {
    if (tile.pid !== null) push(drawn, tile.pid, id);
    else if (tile.w === 'namespace') tile.m.forEach((pid) => push(inhabited, pid, id));
  });

  // The part that is seen, in the picture's pixels. It has the window's shape.
  const whole = { width: map.viewBox.baseVal.width, height: map.viewBox.baseVal.height };
  let view = { x: 0, y: 0, width: 1 }, waiting = false, labelled = 0;
  const scale = () => stage.clientWidth / view.width;
  // Drawing thousands of shapes takes longer than a frame: meanwhile the last drawing is moved and stretched.
  let resting = null, rendered = view;
  const show = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      clearTimeout(resting);
      if (tiles.length < 1500) return render();
      const x = (rendered.x - view.x) * scale(), y = (rendered.y - view.y) * scale();
      map.style.transform = `translate(${x}px, ${y}px) scale(${rendered.width / view.width})`;
      resting = setTimeout(render, 110);
    });
  };
  const render = () => {
    rendered = view;
    map.style.transform = '';
    const height = view.width * stage.clientHeight / stage.clientWidth;
    map.setAttribute('viewBox', `${view.x} ${view.y} ${view.width} ${height}`);
    relabel();
  };
  // From afar a title that is too small to be read gives way to a larger one, as far as its box has room for it. Where that
  // is more than the room above what is inside, the inside gives way too.
  const box = (id) => {
    const rect = shapes.get(id)?.querySelector('.box');
    const value = (name) => Number(rect.getAttribute(name));
    return rect && { x: value('x'), y: value('y'), width: value('width'), height: value('height') };
  };
  const around = (id) => {
    do id = tiles[id].p; while (id !== 0 && !shapes.has(id));
    return id;
  };
  const inner = new Map();
  tiles.forEach(({ w }, id) => {
    if (!shapes.has(id) || w === 'process' || w === 'more') return;
    inner.set(around(id), Math.min(inner.get(around(id)) ?? Infinity, box(id).y));
  });
  const titles = [...map.querySelectorAll('text.title[data-t]')].map((element) => ({
    element, id: Number(element.dataset.t), size: Number(element.getAttribute('font-size')), text: element.textContent,
  })).filter(({ id }) => ['namespace', 'group'].includes(tiles[id].w));
  const labels = document.createElementNS(map.namespaceURI, 'g');
  labels.id = 'labels';
  map.append(labels);
  // In the window's pixels: what can't be read, what is large enough, the sizes of enlarged titles.
  const SMALL = 7, LARGE = 9, SIZES = [9, 8], LEADING = 1.12;
  const relabel = () => {
    const now = scale(), far = 11 * now < SMALL;
    if (now === labelled) return;
    labelled = now;
    map.classList.toggle('far', far);
    const covered = new Set(), made = [];
    for (const { element, id, size, text } of titles) {
      const hidden = covered.has(around(id)), small = far && size * now < LARGE;
      element.classList.toggle('small', hidden || small);
      const one = small && !hidden && label(id, text, Number(element.getAttribute('x')), now);
      if (one) made.push(one.element);
      if (hidden || one?.covers) covered.add(id);
    }
    shapes.forEach((element, id) => element.classList.toggle('covered', covered.has(around(id))));
    labels.replaceChildren(...made);
  };
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = 'bold 100px Helvetica, Arial, "Liberation Sans", sans-serif';
  const wide = (text) => pen.measureText(text.trimEnd()).width / 100;
  // In lines of whole words. Of an id there are at least the last digits, of a name the first letters, or nothing.
  const broken = (text, room, most) => {
    const lines = [''];
    const put = (word) => {
      if (wide(lines.at(-1) + word) > room) {
        if (lines.length === most || !lines[0] || wide(word) > room) return false;
        lines.push('');
      }
      lines[lines.length - 1] += word;
      return true;
    };
    const words = text.split(/(?<=[ -])/), left = words.findIndex((word) => !put(word));
    if (left < 0) return { lines, whole: true };
    const word = words[left].trimEnd(), goesOn = words[left - 1]?.endsWith('-');
    const kind = /^(user|pid|net|mnt|ipc|uts|cgroup|time) /.test(text);
    const named = goesOn || (left === 0 && !kind), least = goesOn ? 0 : 4;
    let letters = goesOn && /^\d/.test(word) ? 0 : word.length - 1;
    while (named && letters >= least && !put(`${word.slice(0, letters)}…`)) letters -= 1;
    if (/^\d{7}/.test(word)) put(`…${word.slice(-4)}`);
    return { lines: /-$|^…$/.test(lines.at(-1)) ? [''] : lines, whole: false };
  };
  const high = (lines, size) => size * (LEADING * (lines - 1) + 0.95);
  const best = (text, room, height) => {
    const tries = SIZES.filter((size) => high(1, size) <= height).map((size) => (
      { size, ...broken(text, room / size, high(2, size) <= height ? 2 : 1) }));
    const length = ({ lines }) => lines.join('').length;
    return tries.find(({ whole }) => whole) ?? tries.sort((a, b) => length(b) - length(a))[0];
  };
  const label = (id, text, left, now) => {
    const place = box(id), x = Math.max(left, place.x + 3 / now), room = (place.x + place.width - x) * now - 3;
    const full = place.height * now - 1, free = Math.min(full, ((inner.get(id) ?? Infinity) - place.y) * now - 1);
    const [name] = text.split(' · ');
    const above = [text, name].map((one) => best(one, room, free)).find((one) => one?.whole);
    const { lines, size } = above ?? best(name, room, full) ?? { lines: [''] };
    if (!lines[0]) return null;
    const needed = high(lines.length, size), top = Math.min(4, Math.max(0, (needed > free ? full : free) - needed) / 2);
    const element = document.createElementNS(map.namespaceURI, 'text');
    element.setAttribute('class', 'title bold');
    element.setAttribute('font-size', size / now);
    lines.forEach((line, number) => {
      const part = document.createElementNS(map.namespaceURI, 'tspan');
      part.setAttribute('x', x);
      part.setAttribute('y', place.y + (top + 0.5 + size * (number * LEADING + 0.76)) / now);
      part.textContent = line;
      element.append(part);
    });
    return { element, covers: needed > free };
  };
  const center = (x, y, width) => {
    view = { x: x - width / 2, y: y - width * stage.clientHeight / stage.clientWidth / 2, width };
    show();
  };
  const fit = ({ x, y, width, height }, margin) => {
    const shape = stage.clientWidth / stage.clientHeight;
    center(x + width / 2, y + height / 2, Math.max(width, height * shape) * margin);
  };
  const fitAll = () => {
    fit({ x: 0, y: 0, ...whole }, 1);
    if (scale() > 1.25) center(whole.width / 2, whole.height / 2, stage.clientWidth / 1.25);
  };
  const zoom = (factor, x, y) => {
    const width = Math.min(Math.max(view.width * factor, 120), whole.width * 4 + 2000);
    const kept = width / view.width;
    const px = view.x + x / scale(), py = view.y + (y - stage.offsetTop) / scale();
    view = { x: px - (px - view.x) * kept, y: py - (py - view.y) * kept, width };
    show();
  };
  const zoomMiddle = (factor) => zoom(factor, stage.clientWidth / 2, stage.offsetTop + stage.clientHeight / 2);
  // A small box is shown with its surroundings.
  const goTo = (id) => {
    const place = box(id);
    if (!place) return fitAll();
    const width = Math.max(place.width * 1.5, place.height * 2.4, 700);
    center(place.x + place.width / 2, place.y + place.height / 2, width);
  };

  // What belongs to a tile: itself, where its processes are drawn, or the namespaces that its process is in, and its lines.
  const ofPerson = (pid) => [...(drawn.get(pid) ?? []), ...(inhabited.get(pid) ?? [])];
  const related = (id) => {
    const tile = tiles[id];
    if (tile.pid !== null) return ofPerson(tile.pid);
    if (tile.w === 'namespace' || tile.w === 'group') return [id, ...tile.m.flatMap((pid) => drawn.get(pid) ?? [])];
    return [id, ...(wires.get(id) ?? []).flatMap((path) => [Number(path.dataset.f), Number(path.dataset.t)])];
  };
  const inside = (id, of) => {
    while (id !== 0 && id !== of) id = tiles[id].p;
    return id === of;
  };
  let lit = [];
  const light = (ids, around) => {
    lit.forEach((element) => element.classList.remove('lit'));
    const paths = [...map.querySelectorAll('.lines path')].filter((path) => around !== null
      && (inside(Number(path.dataset.f), around) || inside(Number(path.dataset.t), around)));
    lit = [...ids.map((id) => shapes.get(id)).filter(Boolean), ...paths];
    lit.forEach((element) => element.classList.add('lit'));
    map.classList.toggle('lighting', paths.length > 0);
  };

  // Details. Texts are only ever set as text.
  const make = (name, text, parent) => {
    const element = document.createElement(name);
    element.textContent = text;
    parent.append(element);
    return element;
  };
  const list = (label, values, parent, link) => {
    make('h3', label, parent);
    const items = make('ul', '', parent);
    const add = (from) => {
      values.slice(from, from + 200).forEach((value) => link(make('li', '', items), value));
      if (values.length <= from + 200) return;
      const more = make('a', `${values.length - from - 200} more`, make('li', '', items));
      more.onclick = () => { more.parentElement.remove(); add(from + 200); };
    };
    add(0);
  };
  const plain = (item, value) => { item.textContent = value; };
  const person = (item, pid) => {
    make('a', people[pid]?.t ?? String(pid), item).onclick = () => choosePerson(pid);
  };
  const place = (item, id) => {
    make('a', tiles[id].t, item).onclick = () => { choose(id); goTo(id); };
  };
  let chosen = [];
  const mark = (ids) => {
    chosen.forEach((element) => element.classList.remove('chosen'));
    chosen = ids.map((id) => shapes.get(id)).filter(Boolean);
    chosen.forEach((element) => element.classList.add('chosen'));
  };
  const open = (title, lines, details) => {
    const into = byId('details');
    into.replaceChildren();
    make('h2', title, into);
    lines.forEach((line) => make('p', line, into));
    details.forEach(([label, values]) => list(label, values, into, plain));
    panel.hidden = false;
    panel.scrollTop = 0;
    return into;
  };
  const close = () => {
    panel.hidden = true;
    mark([]);
  };
  const choose = (id) => {
    const tile = tiles[id];
    if (tile.pid !== null) return choosePerson(tile.pid);
    const into = open(tile.t, tile.l, tile.d);
    const others = (wires.get(id) ?? []).map((path) => Number(path.dataset.f) + Number(path.dataset.t) - id);
    if (others.length > 0) list('joined to', others, into, place);
    const holder = (inner) => tiles[inner.p].w === 'list' ? tiles[inner.p].p : inner.p;
    const within = tiles.flatMap((inner, at) => at !== 0 && holder(inner) === id && inner.t && inner.pid === null
      && inner.w !== 'more' ? [at] : []);
    if (within.length > 0) list('inside', within, into, place);
    if (tile.m.length > 0) list(`processes (${tile.m.length})`, tile.m, into, person);
    mark([id]);
  };
  const choosePerson = (pid) => {
    const known = people[pid];
    if (!known) return;
    const into = open(known.t, [], known.d);
    const places = inhabited.get(pid) ?? [];
    if (places.length > 0) list('drawn in', places, into, place);
    mark(drawn.get(pid) ?? places.slice(-1));
  };

  // The pointer.
  const under = (event) => {
    const shape = event.target.closest?.('g[data-t]');
    return shape && map.contains(shape) ? Number(shape.dataset.t) : null;
  };
  const hover = (event) => {
    const id = under(event);
    if (id === null) {
      tip.hidden = true;
      light([], null);
      return;
    }
    const tile = tiles[id];
    light(related(id), id);
    tip.textContent = tile.pid !== null ? people[tile.pid].t : [tile.t, ...tile.l].join('\n');
    tip.style.whiteSpace = 'pre-wrap';
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
  };
  const pointers = new Map();
  let moved = 0;
  stage.onpointerdown = (event) => {
    if (event.button !== 0) return;
    pointers.set(event.pointerId, event);
    if (pointers.size === 1) moved = 0;
  };
  stage.onpointermove = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return hover(event);
    const dx = event.clientX - before.clientX, dy = event.clientY - before.clientY;
    moved += Math.abs(dx) + Math.abs(dy);
    if (moved > 4) {
      stage.setPointerCapture(event.pointerId);
      stage.classList.add('drag');
      tip.hidden = true;
    }
    const other = [...pointers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) {
      const far = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY) || 1;
      zoom(far(before) / far(event), other.clientX, other.clientY);
    } else {
      view = { ...view, x: view.x - dx / scale(), y: view.y - dy / scale() };
      show();
    }
    pointers.set(event.pointerId, event);
  };
  const up = (event) => {
    const clicked = pointers.delete(event.pointerId) && moved <= 4 && event.type === 'pointerup';
    stage.classList.remove('drag');
    if (!clicked) return;
    results.hidden = true;
    const id = under(event);
    if (id === null) close(); else choose(id);
  };
  stage.onpointerup = up;
  stage.onpointercancel = up;
  stage.onpointerleave = () => { tip.hidden = true; light([], null); };
  stage.ondblclick = (event) => {
    const id = under(event);
    if (id !== null) fit(box(id), 1.06);
  };
  stage.addEventListener('wheel', (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(Math.max(-240, Math.min(240, event.deltaY * lines)) * 0.0022), event.clientX, event.clientY);
  }, { passive: false });

  // The search: what is drawn, and the processes that found no place.
  const text = (one) => [one.t, ...(one.l ?? []), ...one.d.flatMap(([, values]) => values)].join('\n').toLowerCase();
  let index = null;
  const entries = () => {
    const boxes = tiles.flatMap((tile, id) => id > 0 && tile.t && tile.pid === null && tile.w !== 'more'
      ? [{ id, title: tile.t, more: tile.l.join('  '), title_: tile.t.toLowerCase(), text: text(tile) }] : []);
    // Of a process not its namespaces: all of the machine would match the number of one.
    const all = Object.keys(people).map((pid) => {
      const { t, d } = people[pid];
      const words = text({ t, d: d.filter(([label]) => label === 'command') });
      return { pid: Number(pid), title: t, more: '', title_: t.toLowerCase(), text: words };
    });
    return [...boxes, ...all];
  };
  let hits = [], at = -1, marked = [];
  const find = () => {
    index ??= entries();
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const matches = words.length === 0 ? [] : index.filter((entry) => words.every((word) => entry.text.includes(word)));
    const rank = (entry) => words.every((word) => entry.title_.includes(word)) ? 0 : 1;
    hits = matches.map((entry) => ({ entry, rank: rank(entry) })).sort((a, b) => a.rank - b.rank).map((one) => one.entry);
    marked.forEach((element) => element.classList.remove('hit'));
    marked = hits.flatMap((hit) => hit.pid === undefined ? [hit.id] : drawn.get(hit.pid) ?? [])
      .map((id) => shapes.get(id)).filter(Boolean);
    marked.forEach((element) => element.classList.add('hit'));
    byId('found').textContent = words.length === 0 ? '' : `${hits.length} found`;
    at = -1;
    results.replaceChildren();
    hits.slice(0, 60).forEach((hit, number) => {
      const item = make('li', hit.title, results);
      if (hit.more) make('small', `  ${hit.more}`, item);
      item.onclick = () => visit(number);
    });
    results.hidden = hits.length === 0;
  };
  const visit = (number) => {
    if (hits.length === 0) return;
    at = (number + hits.length) % hits.length;
    [...results.children].forEach((item, other) => item.classList.toggle('at', other === at));
    results.children[at]?.scrollIntoView({ block: 'nearest' });
    const hit = hits[at];
    if (hit.pid === undefined) choose(hit.id); else choosePerson(hit.pid);
    const where = hit.pid === undefined ? hit.id : drawn.get(hit.pid)?.[0] ?? inhabited.get(hit.pid)?.at(-1);
    if (where !== undefined) goTo(where);
  };
  search.oninput = find;
  search.onfocus = () => { results.hidden = hits.length === 0; };
  search.onkeydown = (event) => {
    if (event.key === 'Enter') visit(event.shiftKey ? at - 1 : at + 1);
    else if (event.key === 'ArrowDown') visit(at + 1);
    else if (event.key === 'ArrowUp') visit(at - 1);
    else if (event.key === 'Escape') { search.value = ''; find(); search.blur(); close(); }
    else return;
    event.preventDefault();
  };

  const keys = {
    '/': () => search.focus(), '0': fitAll, '+': () => zoomMiddle(0.75), '=': () => zoomMiddle(0.75),
    '-': () => zoomMiddle(1.33), Escape: close,
  };
  document.onkeydown = (event) => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  byId('in').onclick = () => zoomMiddle(0.75);
  byId('out').onclick = () => zoomMiddle(1.33);
  byId('all').onclick = fitAll;
  byId('close').onclick = close;
  onresize = render;
  fitAll();
  render();
})();
