// `console` as functions on AWS have it: each call is one event of the log, in the format and from the level on that
// the function is configured for.
'use strict';

const { format } = require('util');
const faults = require('./faults');

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
const METHODS = { trace: 'TRACE', debug: 'DEBUG', info: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };

// Where AWS keeps the running invocation's id: other libraries look there.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');

let tenantId;
let asJson = false;

// Replace the methods of `console`.
function install() {
  asJson = (process.env.AWS_LAMBDA_LOG_FORMAT || '').toUpperCase() === 'JSON';
  const lowest = LEVELS.indexOf((process.env.AWS_LAMBDA_LOG_LEVEL || '').toUpperCase());
  for (const [method, level] of Object.entries(METHODS)) {
    const shown = level === 'FATAL' || LEVELS.indexOf(level) >= lowest;
    console[method] = shown ? (first, ...rest) => write(level, [first, ...rest]) : () => {};
  }
  console.log = console.info;
}

// From now on events belong to this invocation.
function enter(requestId, tenant) {
  globalThis[REQUEST_ID] = requestId;
  tenantId = tenant;
}

// Log what ended an invocation, or the process.
function logFault(title, thrown) {
  const error = thrown instanceof Error ? thrown : new Error(thrown);
  if (asJson) console.error(error);
  else console.error(title, faults.logText(error));
}

function write(level, values) {
  const time = new Date().toISOString();
  const id = globalThis[REQUEST_ID];
  const line = asJson ? jsonLine(time, id, level, values) : `${time}\t${id}\t${level}\t${format(...values)}`;
  // A line feed would end the event; a carriage return does not.
  process.stdout.write(`${line.replace(/\n/g, '\r')}\n`);
}

function jsonLine(timestamp, requestId, level, values) {
  const entry = tenantId ? { timestamp, level, requestId, tenantId } : { timestamp, level, requestId };
  if (values.length === 1) {
    try {
      return JSON.stringify({ ...entry, message: values[0] }, (_name, value) => errorAsObject(value));
    } catch {
      return JSON.stringify({ ...entry, message: format(values[0]) });
    }
  }
  entry.message = format(...values);
  const error = values.find((value) => value instanceof Error);
  return JSON.stringify(error === undefined ? entry : { ...entry, ...describe(error, []) });
}

function errorAsObject(value) {
  return value instanceof Error ? { ...describe(value, value.stack), ...value } : value;
}

function describe(error, otherStack) {
  return {
    errorType: (error.constructor && error.constructor.name) || 'UnknownError',
    errorMessage: error.message,
    stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : otherStack,
  };
}

module.exports = { enter, install, logFault };
