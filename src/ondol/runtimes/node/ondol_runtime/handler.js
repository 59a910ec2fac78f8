// Finds the function that `_HANDLER` names: which file it is in, and whether that is CommonJS or an ES module.
'use strict';

const fs = require('fs');
const { createRequire } = require('module');
const path = require('path');
const { pathToFileURL } = require('url');
const { fault } = require('./faults');

// Messages about missing modules name who asked for them: here, what AWS's entry point is called.
const load = createRequire('/var/runtime/index.mjs');

// The handler that `name` ("directory/file.export.path") means under `root`. Rejects with what the customer's modules
// throw, or with a fault.
async function find(root, name) {
  if (name.includes('..')) {
    const advice = 'Use absolute paths when specifying root directories in handler names.';
    throw fault('MalformedHandlerName', `'${name}' is not a valid handler name. ${advice}`);
  }
  const file = path.basename(name);
  const dot = file.indexOf('.');
  if (dot < 0) throw fault('MalformedHandlerName', 'Bad handler');
  const directory = name.slice(0, name.indexOf(file));
  const module = await loadModule(root, directory, file.slice(0, dot));
  const exports = file.slice(dot + 1).split('.');
  const handler = exports.reduce((value, key) => value && value[key], module);
  if (!handler) throw fault('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw fault('HandlerNotFound', `${name} is not a function`);
  return handler;
}

async function loadModule(root, directory, name) {
  try {
    // Not awaited where it need not be: a CommonJS module is there at once.
    const found = await fromFile(path.resolve(root, directory, name));
    return found || load(load.resolve(name, { paths: [root, directory] }));
  } catch (error) {
    if (error instanceof SyntaxError) throw fault('UserCodeSyntaxError', String(error));
    if (error.code === 'MODULE_NOT_FOUND') throw fault('ImportModuleError', String(error));
    throw error;
  }
}

function fromFile(stem) {
  const isModule = saysModule(path.dirname(stem));
  const ways = [
    ['', load],
    ['.js', isModule ? importFile : load],
    ['.mjs', importFile],
    ['.cjs', load],
  ];
  if (Number(process.versions.node.split('.')[0]) >= 24) {
    ways.push(['.ts', isModule ? importFile : load], ['.mts', importFile], ['.cts', load]);
  }
  const [suffix, open] = ways.find(([ending]) => fs.existsSync(stem + ending)) || [];
  return open && open(stem + suffix);
}

function importFile(file) {
  return import(pathToFileURL(file));
}

// Whether the nearest package.json makes a directory's .js files ES modules.
function saysModule(directory) {
  if (directory.endsWith('/node_modules')) return false;
  const file = path.join(directory, 'package.json');
  if (fs.existsSync(file)) {
    try {
      return JSON.parse(fs.readFileSync(file, 'utf8')).type === 'module';
    } catch (error) {
      console.warn(`${file} cannot be read, it will be ignored for ES module detection purposes.`, error);
      return false;
    }
  }
  return directory !== '/' && saysModule(path.dirname(directory));
}

module.exports = { find };
