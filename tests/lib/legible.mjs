/* Can everybody read and use a page? By what the browser made of it, at each width and in both colour schemes. */
import assert from "node:assert/strict";

const WIDTHS = [320, 768, 1280];
const SCHEMES = ["light", "dark"];
const HEIGHT = 900;
const TEXT_CONTRAST_MIN = 4.5;
const EDGE_CONTRAST_MIN = 3; /* of what is no text: a field's border, the ring of the focus */
const RING_PX_MIN = 2;
const TARGET_PX_MIN = 24;
const CONTROLS = "a[href], button, input, select, textarea";

/* Runs in the page. → what is there to be seen */
function lookAround(controls) {
  const seen = (element) => element.checkVisibility();
  const all = (selector) => [...document.querySelectorAll(selector)].filter(seen);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (!/, 0\)$/.test(backgroundColor)) return backgroundColor;
    }
    return "nothing";
  };
  const textsOf = () => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) {
      const { data, parentElement } = walker.currentNode;
      if (data.trim() !== "" && seen(parentElement)) texts.push({ text: data.trim(), ink: getComputedStyle(parentElement).color, paper: behind(parentElement) });
    }
    return texts;
  };
  const control = (element) => {
    const { left, right, height } = element.getBoundingClientRect();
    const labels = element.labels?.length ? [...element.labels] : [element];
    const edge = element.tagName === "INPUT" ? getComputedStyle(element).borderTopColor : null;
    return { html: element.outerHTML, name: labels.map((one) => one.textContent.trim()).join(" "), left, right, height, edge, paper: behind(element.parentElement) };
  };
  return {
    lang: document.documentElement.lang,
    title: document.title.trim(),
    mode: [document.characterSet, document.compatMode],
    headings: all("h1").length,
    headingsInMain: all("main h1").length,
    viewport: document.querySelector("meta[name=viewport]")?.content ?? "",
    width: document.documentElement.scrollWidth,
    room: document.documentElement.clientWidth,
    texts: textsOf(),
    controls: all(controls).map(control),
  };
}

/* Runs in the page. → what has the focus, and the ring around it */
function lookAtFocus(controls) {
  const one = document.activeElement;
  const { outlineStyle: style, outlineWidth, outlineColor: ring } = getComputedStyle(one);
  const place = [...document.querySelectorAll(controls)].filter((other) => other.checkVisibility()).indexOf(one);
  return { place, html: one.outerHTML, style, width: parseFloat(outlineWidth), ring, paper: getComputedStyle(document.body).backgroundColor };
}

function luminance(colour) {
  const match = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(colour);
  assert.ok(match, `not an opaque colour: ${colour}`);
  const [red, green, blue] = match.slice(1).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/* WCAG 2: 1 for none, 21 for black on white. */
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

function assertContrast(one, other, least, what) {
  const ratio = contrast(one, other);
  assert.ok(ratio >= least, `${what}: ${one} on ${other} is ${ratio.toFixed(2)}`);
}

function assertControl({ html, name, left, right, height, edge, paper }, room) {
  assert.notEqual(name, "", `nothing says what this is: ${html}`);
  assert.ok(left >= 0 && right <= room, `it is cut off: ${html}`);
  assert.ok(height >= TARGET_PX_MIN, `a finger misses it: ${html}`);
  if (edge) assertContrast(edge, paper, EDGE_CONTRAST_MIN, html);
}

function assertView(view, where) {
  assert.equal(view.lang, "en", where);
  assert.notEqual(view.title, "", where);
  assert.deepEqual(view.mode, ["UTF-8", "CSS1Compat"], where);
  assert.deepEqual([view.headings, view.headingsInMain], [1, 1], `${where}: one heading, in the main part`);
  assert.match(view.viewport, /width=device-width/, where);
  assert.doesNotMatch(view.viewport, /user-scalable|maximum-scale/, `${where}: it can be enlarged`);
  assert.ok(view.width <= view.room, `${where}: ${view.width} px wide`);
  assert.ok(view.texts.length > 0, where);
  for (const { text, ink, paper } of view.texts) assertContrast(ink, paper, TEXT_CONTRAST_MIN, `${where}: ${text}`);
  for (const control of view.controls) assertControl(control, view.room);
}

/* The Tab key goes through all controls in their order, and each shows that it has the focus. The page was
 * just opened. */
export async function assertKeyboardReaches(page, count) {
  for (let place = 0; place < count; place++) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(lookAtFocus, CONTROLS);
    assert.equal(focus.place, place, `Tab ${place + 1} leads to ${focus.html}`);
    assert.equal(focus.style, "solid", focus.html);
    assert.ok(focus.width >= RING_PX_MIN, focus.html);
    assertContrast(focus.ring, focus.paper, EDGE_CONTRAST_MIN, `the ring around ${focus.html}`);
  }
}

/* Run what is to hold at each width in each scheme. */
async function everywhere(page, hold) {
  for (const colorScheme of SCHEMES)
    for (const width of WIDTHS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: HEIGHT });
      await hold(`${width} px, ${colorScheme}`, colorScheme);
    }
}

/* What WCAG 2 asks of a page and can be computed: names, contrast, room, language. It is dark where that is wanted. */
export async function assertLegible(page) {
  const papers = {};
  await everywhere(page, async (where, scheme) => {
    const view = await page.evaluate(lookAround, CONTROLS);
    assertView(view, where);
    papers[scheme] = luminance(view.texts[0].paper);
  });
  assert.ok(papers.light > 0.5 && papers.dark < 0.2, "as light or dark as wanted");
}
