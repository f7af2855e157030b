/**
 * Preloaded into the processor by the tests alone (NODE_OPTIONS=--require): on SIGUSR2 every worker thread is ended where it
 * stands, as if it had crashed. The product holds no such hook.
 */
const threads = require('node:worker_threads');
const { syncBuiltinESMExports } = require('node:module');

if (threads.isMainThread && process.argv.includes('processor')) {
  const alive = new Set();
  const { Worker } = threads;
  threads.Worker = class extends Worker {
    constructor(...args) {
      super(...args);
      alive.add(this);
      this.once('exit', () => alive.delete(this));
    }
  };
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    for (const worker of alive) void worker.terminate();
  });
}
