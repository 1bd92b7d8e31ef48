// Keeps a processor busy under the profiler for a while: `node busy.js SERVER SECONDS`.
'use strict';

const { default: Pyroscope } = require('@pyroscope/nodejs');

const [server, seconds] = process.argv.slice(2);
Pyroscope.init({
  appName: 'interop.node',
  serverAddress: server,
  basicAuthUser: 'sdk-user',
  basicAuthPassword: 'sdk-password',
  tenantID: 'sdk-tenant',
  tags: { region: 'eu', zone: 'a' },
  flushIntervalMs: 1000,
  wall: { samplingDurationMs: 1000, collectCpuTime: true },
});
Pyroscope.start();

const end = Date.now() + Number(seconds) * 1000;
function work() {
  const pause = Date.now() + 50;
  let sum = 0;
  while (Date.now() < pause) {
    sum += Math.sqrt(sum + 1);
  }
  if (Date.now() < end) {
    setImmediate(work);
  } else {
    // The SDK throws if it is stopped between the timer of a round and the round, which is an immediate.
    setImmediate(() => Pyroscope.stop());
  }
}
work();
