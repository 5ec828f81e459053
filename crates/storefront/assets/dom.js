// Elements, words and numbers. Text only ever becomes a text node: nothing here parses HTML.

/** An element. `props` are attributes; `on` is an object of listeners. Children that are null or false are left out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** An amount in minor units, as the reader's country writes it. */
export function money({ amount, currency }) {
  const format = new Intl.NumberFormat(undefined, { style: "currency", currency });
  return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

/** The name of a country. */
export function country(code) {
  return new Intl.DisplayNames(undefined, { type: "region" }).of(code);
}

export function moment(instant) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" }).format(new Date(instant));
}

/** `payment_failed` as people say it. */
export function words(name) {
  const text = name.replaceAll("_", " ").replaceAll("-", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function plural(count, one, many) {
  return `${count} ${count === 1 ? one : many}`;
}

/** The page's heading, which is focused when the page is shown. */
export function heading(text) {
  return h("h1", { tabindex: "-1" }, text);
}

let fading;

/** Says something in passing; screen readers say it too. */
export function say(text, link) {
  clearTimeout(fading);
  const status = $("status");
  status.replaceChildren(h("p", {}, text, link ? [" ", h("a", { href: link.href }, link.text)] : null));
  fading = setTimeout(() => status.replaceChildren(), 8000);
}

/** A field with its label, its hint, and room for what is wrong with it. */
export function field({ id, label, hint, control }) {
  control.id = id;
  const described = [hint && `${id}-hint`, `${id}-fault`].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", described);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    control,
    hint && h("p", { class: "hint", id: `${id}-hint` }, hint),
    h("p", { class: "fault", id: `${id}-fault` }),
  );
}

/** Shows at each field what is wrong with it, and goes to the first. Gives what belongs to no field. */
export function showFaults(form, errors, fieldOf) {
  for (const control of form.elements) {
    control.removeAttribute("aria-invalid");
    if (control.id && $(`${control.id}-fault`)) $(`${control.id}-fault`).textContent = "";
  }
  let first = null;
  const rest = errors.filter((error) => {
    const control = form.elements[fieldOf(error)];
    const fault = control?.id && $(`${control.id}-fault`);
    if (!fault) return true;
    control.setAttribute("aria-invalid", "true");
    fault.textContent = error.detail;
    first ??= control;
    return false;
  });
  first?.focus();
  return rest;
}
