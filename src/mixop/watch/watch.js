// Lays out the parts of the page that the server sends. What a reader has done to a part stays when it is replaced.
"use strict";

const parts = document.getElementById("parts");
const status = document.getElementById("status");
const keyOf = (element) =>
  [element.tagName, element.id, element.name, element.getAttribute("aria-label"), element.getAttribute("href"),
    element.value, element.tagName === "SUMMARY" ? element.textContent : ""].join("|");

function kept(part) {
  const focused = part.contains(document.activeElement) ? keyOf(document.activeElement) : null;
  const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  const checked = new Map([...part.querySelectorAll("input")].map((input) => [keyOf(input), input.checked]));
  return () => {
    part.querySelectorAll(".scroll").forEach((box, at) => { box.scrollLeft = scrolled[at] || 0; });
    part.querySelectorAll("details").forEach((details, at) => { details.open = open[at] || false; });
    part.querySelectorAll("input").forEach((input) => {
      if (checked.has(keyOf(input))) input.checked = checked.get(keyOf(input));
    });
    if (focused) {
      const again = [...part.querySelectorAll("a, button, input, summary, [tabindex]")].find((e) => keyOf(e) === focused);
      if (again) again.focus({ preventScroll: true });
    }
  };
}

function lay(message) {
  const { order, changed } = JSON.parse(message.data);
  for (const part of [...parts.children]) if (!order.includes(part.dataset.part)) part.remove();
  order.forEach((name, at) => {
    let part = parts.children[at];
    if (!part || part.dataset.part !== name) {
      const there = [...parts.children].find((child) => child.dataset.part === name);
      const made = there || document.createElement("div");
      made.dataset.part = name;
      parts.insertBefore(made, part || null);
      part = made;
    }
    if (!(name in changed)) return;
    const restore = kept(part);
    part.innerHTML = changed[name];
    restore();
  });
  said("live", "live");
}

function said(state, words) {
  if (status.textContent !== words) status.textContent = words;
  status.className = state;
}

const events = new EventSource(document.body.dataset.events);
events.onopen = () => said("live", "live");
events.onmessage = lay;
events.onerror = () => said("lost", "no connection: it is tried again");
