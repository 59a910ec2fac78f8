// Entry point of /var/runtime in a Node sandbox: serves the function that the environment describes.
'use strict';

require('./ondol_runtime/loop').run();
