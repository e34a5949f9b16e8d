// Measures the page that it is appended to, which is shown in a frame, and writes what it finds into the document around it.
addEventListener("load", () => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const box = (element) => element.getBoundingClientRect();
  const text = (element) => element.textContent.trim();
  const inside = (a, b, room) =>
    a.left >= b.left - room && a.right <= b.right + room && a.top >= b.top - room && a.bottom <= b.bottom + room;
  const labels = (svg) => all("text", svg).map((t) => ({ text: text(t), box: box(t) }));
  const overlap = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;

  const overlapping = [];
  const outside = [];
  for (const svg of all("svg")) {
    const found = labels(svg);
    found.forEach((a, i) => {
      if (!inside(a.box, box(svg), 0.5)) outside.push(a.text);
      for (const b of found.slice(i + 1)) if (overlap(a.box, b.box)) overlapping.push([a.text, b.text]);
    });
    for (const shape of all("path, circle, rect, line, polyline", svg))
      if (!inside(box(shape), box(svg), 1)) outside.push(shape.outerHTML.slice(0, 120));
  }

  // What sticks out of the window, or out of what holds it, without anything to scroll it by.
  const spilling = [];
  const width = innerWidth;
  if (document.documentElement.scrollWidth > width) spilling.push("page");
  for (const e of all("h1, h2, p, dt, dd, figcaption, .name, .track, .value, .key, .scroll"))
    if (box(e).right > width || box(e).left < 0) spilling.push(text(e).slice(0, 80));
  for (const e of all("dd, figcaption, .name, .track, td"))
    if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0) spilling.push(text(e).slice(0, 80));

  // Letters of less than 8 pixels, and colours that are hard to tell from their ground (WCAG 2.1, 1.4.3).
  const scale = (svg) => box(svg).width / svg.viewBox.baseVal.width;
  const size = (t) => parseFloat(getComputedStyle(t).fontSize);
  const tiny = all("svg text").filter((t) => size(t) * scale(t.ownerSVGElement) < 8).map(text);
  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = channels(colour).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    const colour = e ? getComputedStyle(e).backgroundColor : "rgb(255, 255, 255)";
    return channels(colour)[3] === 0 ? ground(e.parentElement) : colour;
  };
  const contrast = (e, colour) => {
    const [a, b] = [luminance(colour), luminance(ground(e))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const written = all("h1, h2, p, dt, dd, td, th, small, .name, .value, figcaption");
  const faint = [
    ...written.filter((e) => contrast(e, getComputedStyle(e).color) < 4.5),
    ...all("svg text").filter((e) => contrast(e.ownerSVGElement, getComputedStyle(e).fill) < 4.5),
    ...all(".a, .b").filter((e) => contrast(e.ownerSVGElement, getComputedStyle(e).stroke) < 3),
  ].map((e) => text(e) || e.className.baseVal);

  // The parts of a frame that a curve spans.
  const spans = (curves, frame) => {
    const boxes = curves.map(box);
    const [left, right] = [Math.min(...boxes.map((b) => b.left)), Math.max(...boxes.map((b) => b.right))];
    const [top, bottom] = [Math.min(...boxes.map((b) => b.top)), Math.max(...boxes.map((b) => b.bottom))];
    return { reach: (right - left) / frame.width, height: (bottom - top) / frame.height };
  };
  const fits = all("svg.fit").map((svg) => {
    const [above] = all("rect.frame", svg).map(box);
    const within = (e) => box(e).bottom <= above.bottom + 2;
    const [function_, polynomial] = [".a", ".b"].map((c) => all("polyline" + c, svg).filter(within));
    const points = (lines) => lines.flatMap((l) => [...l.points].map((p) => p.y));
    const [a, b] = [points(function_), points(polynomial)];
    const apart = Math.max(...a.map((y, i) => Math.abs(y - b[i])));
    return {
      text: text(svg.closest("figure").querySelector("figcaption")),
      function: spans(function_, above),
      polynomial: spans(polynomial, above),
      apart: (apart * scale(svg)) / above.height,
      seen: box(svg.querySelector("rect.seen")).width / above.width,
    };
  });

  const found = {
    title: document.title,
    width,
    dark: matchMedia("(prefers-color-scheme: dark)").matches && luminance(ground(document.body)) < 0.1,
    resources: performance.getEntriesByType("resource").map((e) => e.name),
    overlapping,
    outside,
    spilling,
    tiny,
    faint,
    fits,
    nodes: all("svg.graph g > title").map(text),
    edges: all("svg.graph path").length,
    bars: all('figure[aria-label="time by layer"] .name').map(text),
    groups: all("table.steps tr.group td:first-child").map(text),
    times: all("table.steps tr:not(.group) td:last-child").map(text),
  };
  const pre = parent.document.createElement("pre");
  pre.id = "found";
  pre.textContent = JSON.stringify(found);
  parent.document.body.append(pre);
});
