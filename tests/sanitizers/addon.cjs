// Has `leaselock` load the addon that run.py has built; that loads this before everything else, in each process and worker of Node.
const load = require.extensions[".node"];
const { LEASELOCK_SANITIZED_ADDON } = process.env;

require.extensions[".node"] = (module, file) =>
  load(module, /[\\/]leaselock\.[^\\/]*\.node$/.test(file) ? LEASELOCK_SANITIZED_ADDON : file);
