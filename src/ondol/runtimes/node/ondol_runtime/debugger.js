// Waits for a debugger before the customer's code is loaded, where the platform asks for that.
'use strict';

const VARIABLE = 'ONDOL_DEBUGGER'; // where to listen; the customer's code does not see it

// Returns once a debugger has attached and set its breakpoints; at once if none is to be waited for.
function wait() {
  const address = process.env[VARIABLE];
  if (address === undefined) return;
  delete process.env[VARIABLE];
  const [host, port] = address.split(':');
  require('inspector').open(Number(port), host, true);
}

module.exports = { wait };
