// Execute blocks of JavaScript, evaluate calls of what they define, and report each as a line of JSON on stdout: what calls.py
// does for Python. What the code prints goes to stderr.
"use strict";

const console_ = require("console");
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const job = JSON.parse(fs.readFileSync(path.join(__dirname, "job.json"), "utf8"));

function report(line) {
  const text = `\n${JSON.stringify(line)}\n`;
  const bytes = Buffer.from(text);
  for (let written = 0; written < bytes.length; ) written += fs.writeSync(1, bytes, written);
}

function encode(value) {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isFinite(value) ? value : { object: String(value) };
  if (Array.isArray(value)) return Array.from(value, encode);
  const tag = Object.prototype.toString.call(value);
  if (tag === "[object Object]") return { dict: Object.entries(value).map(([key, each]) => [key, encode(each)]) };
  if (tag === "[object Map]") return { dict: Array.from(value, ([key, each]) => [encode(key), encode(each)]) };
  if (tag === "[object Set]") return { set: Array.from(value, encode) };
  return { object: tag === "[object Undefined]" ? "undefined" : typeof value };
}

function describe(error, atCall) {
  const isError = error !== null && typeof error === "object" && typeof error.name === "string";
  return {
    kind: isError ? error.name : "thrown",
    text: String(isError ? error.message : error).slice(0, 500),
    at_call: atCall,
  };
}

// Blocks share one context, as the parts of one file would. Modules are written as scripts: the code is in one file.
function newContext() {
  const module = { exports: {} };
  const stderr = new console_.Console(process.stderr, process.stderr);
  const leave = () => {
    throw new Error("process.exit");
  };
  const stub = { argv: ["node", "answer.js"], env: {}, stdout: process.stderr, stderr: process.stderr, exit: leave };
  const given = { console: stderr, require, module, exports: module.exports, process: stub };
  return vm.createContext({ ...given, structuredClone, setTimeout, clearTimeout, queueMicrotask });
}

function asScript(source) {
  return source.replace(/^export\s*\{[^}]*\}\s*;?/gm, "").replace(/^export\s+(default\s+)?/gm, "");
}

let context = newContext();
job.blocks.forEach((name, number) => {
  const source = asScript(fs.readFileSync(path.join(__dirname, name), "utf8"));
  try {
    vm.runInContext(source, context, { filename: name });
  } catch (error) {
    if (/has already been declared/.test(String(error && error.message))) {
      // a second version of the same: it counts alone
      context = newContext();
      try {
        vm.runInContext(source, context, { filename: name });
        return;
      } catch (again) {
        error = again;
      }
    }
    report({ block: number, error: describe(error, false) });
  }
});

job.calls.forEach((call, number) => {
  try {
    const known = vm.runInContext(`typeof ${job.name}`, context) === "function";
    if (known) {
      report({ call: number, value: encode(vm.runInContext(call, context, { filename: "<call>" })) });
    } else {
      report({ call: number, error: { kind: "NameError", text: `${job.name} is no function`, at_call: true } });
    }
  } catch (error) {
    report({ call: number, error: describe(error, false) });
  }
});
process.exit(0);
