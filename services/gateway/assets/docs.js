// Shows the OpenAPI document. Everything in it is set as text, never as HTML.
"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, content = [], attributes = {}) {
  const made = document.createElement(name);
  Object.assign(made, attributes);
  made.append(...[content].flat());
  return made;
}

// Writes a schema as a short example of its shape. What refers to itself is cut off.
function shape(schema, all, seen = []) {
  if (!schema) return "any";
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) ? name : shape(all[name], all, [...seen, name]);
  }
  const several = schema.allOf ?? schema.oneOf ?? schema.anyOf;
  if (schema.allOf) return Object.assign({}, ...several.map((one) => shape(one, all, seen)));
  if (several) return several.map((one) => brief(shape(one, all, seen))).join(" | ");
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.properties) {
    const required = schema.required ?? [];
    const entries = Object.entries(schema.properties);
    return Object.fromEntries(
      entries.map(([name, value]) => [required.includes(name) ? name : `${name}?`, shape(value, all, seen)]),
    );
  }
  if (schema.items) return [shape(schema.items, all, seen)];
  return [schema.type ?? "any"].flat().join(" | ") + (schema.format ? ` (${schema.format})` : "");
}

function brief(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function bodies(content, all) {
  return Object.entries(content ?? {}).flatMap(([type, { schema }]) => [
    element("p", type, { className: "quiet" }),
    element("pre", JSON.stringify(shape(schema, all), null, 2)),
  ]);
}

function parameters(list) {
  const rows = list.map((one) =>
    element("tr", [
      element("td", element("code", one.name)),
      element("td", one.required ? one.in : `${one.in}, optional`, { className: "quiet" }),
      element("td", one.description ?? ""),
    ]),
  );
  return element("table", rows);
}

function operation(method, path, details, all) {
  const answers = Object.entries(details.responses ?? {}).flatMap(([status, answer]) => [
    element("h4", `${status}: ${answer.description ?? ""}`),
    ...bodies(answer.content, all),
  ]);
  return element("details", [
    element("summary", [
      element("span", method.toUpperCase(), { className: "method" }),
      element("code", path),
      element("span", ` ${details.summary ?? ""}`, { className: "quiet" }),
    ]),
    element("p", details.description ?? ""),
    parameters(details.parameters ?? []),
    ...(details.requestBody ? [element("h4", "Body"), ...bodies(details.requestBody.content, all)] : []),
    ...answers,
  ]);
}

async function show() {
  const place = document.getElementById("operations");
  try {
    const answer = await fetch("/api/v1/openapi.json");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const api = await answer.json();
    const all = api.components?.schemas ?? {};
    const groups = new Map();
    for (const [path, item] of Object.entries(api.paths)) {
      for (const method of METHODS.filter((one) => item[one])) {
        const tag = item[method].tags?.[0] ?? "other";
        groups.set(tag, [...(groups.get(tag) ?? []), operation(method, path, item[method], all)]);
      }
    }
    place.replaceChildren(...[...groups].flatMap(([tag, list]) => [element("h2", tag), ...list]));
  } catch (fault) {
    place.replaceChildren(element("p", `The document cannot be shown: ${fault.message}`));
  }
}

show();
