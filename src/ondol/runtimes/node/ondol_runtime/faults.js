// What an error looks like to the caller, in the log and in a trace: names and texts are those of AWS's Node runtime.
'use strict';

const { types } = require('util');

const MOST_CAUSE_BYTES = 8192; // a header must not grow too long for the platform to take

// An error of the runtime itself, called `Runtime.<kind>` and of a class `<kind>`, which JSON logs tell.
function fault(kind, message, properties) {
  const { [kind]: Kind } = { [kind]: class extends Error {} };
  const error = new Kind(message);
  Object.defineProperty(error, 'name', { value: `Runtime.${kind}` });
  Error.captureStackTrace(error, fault);
  return Object.assign(error, properties);
}

// What the caller is told of whatever was thrown.
function reportOf(thrown) {
  try {
    if (types.isNativeError(thrown) || isErrorLike(thrown)) {
      const trace = printable(thrown.stack).split('\n');
      return { errorType: printable(thrown.name), errorMessage: printable(thrown.message), trace };
    }
    return { errorType: typeof thrown, errorMessage: thrown.toString(), trace: [] };
  } catch {
    const errorMessage =
      'callback called with Error argument, but there was a problem while retrieving one or more of its ' +
      'message, name, and stack';
    return { errorType: 'handled', errorMessage };
  }
}

// The header fields that go with a report: its kind and, where it fits, X-Ray's view of it.
function fieldsOf(thrown, report) {
  const kind = `Lambda-Runtime-Function-Error-Type: ${headerText(report.errorType)}\r\n`;
  const cause = causeOf(thrown);
  return cause ? `${kind}Lambda-Runtime-Function-XRay-Error-Cause: ${cause}\r\n` : kind;
}

// An error with all that its throwers have put on it, as text of the log; it begins with a tab.
function logText(error) {
  try {
    return `\t${JSON.stringify(error, (_name, value) => withOwnProperties(value))}`;
  } catch {
    return `\t${JSON.stringify(reportOf(error))}`;
  }
}

// AWS's client keeps the delete character out, and throws for what is no text.
function printable(text) {
  return text === undefined || text === null ? undefined : text.replace(/\x7f/g, '%7F');
}

function isErrorLike(thrown) {
  const texts = thrown && [thrown.name, thrown.message, thrown.stack];
  return Boolean(texts) && texts.every((text) => typeof text === 'string' && text !== '');
}

// A value as it may stand in a header.
function headerText(value) {
  return String(value).replace(/[^\x20-\x7e]/g, '?');
}

function withOwnProperties(value) {
  if (!(value instanceof Error)) return value;
  const shown = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
  if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
  return shown;
}

function causeOf(thrown) {
  try {
    const stack = thrown.stack ? printable(thrown.stack).split('\n').slice(1).map(frameOf) : [];
    const cause = {
      working_directory: process.cwd(),
      exceptions: [{ type: printable(thrown.name), message: printable(thrown.message), stack }],
      paths: [...new Set(stack.map((frame) => frame.path))],
    };
    const text = JSON.stringify(cause).replace(/[^\x20-\x7e]/g, escaped);
    return text.length > MOST_CAUSE_BYTES ? '' : text;
  } catch {
    return '';
  }
}

// "    at label (path:line:column)" or "    at path:line:column"
function frameOf(line) {
  const [, label, place] = /^\s*at (?:(.*) \()?(.*?)\)?$/.exec(line) || [null, null, line.trim()];
  const [, path, number] = /^(.*?):(\d+)(?::\d+)?$/.exec(place) || [null, place, null];
  return { path, line: number === null ? null : Number(number), label: label || 'anonymous' };
}

function escaped(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

module.exports = { fault, fieldsOf, headerText, logText, reportOf };
