// What Node.js asks of Linux: a JIT's pages, workers, children, a server. Prints what test lines
// look for.
const { spawnSync } = require('child_process');
const { createHash, generateKeyPairSync, sign, verify } = require('crypto');
const { once } = require('events');
const fs = require('fs');
const http = require('http');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib');

// Hot enough for each of V8's compilers.
function primes(limit) {
    const sieve = new Uint8Array(limit);
    let count = 0;
    for (let i = 2; i < limit; i++) {
        if (sieve[i]) continue;
        count++;
        for (let j = i * i; j < limit; j += i) sieve[j] = 1;
    }
    return count;
}

// (func (export "f") (param i32) (result i32) local.get 0 i32.const 7 i32.mul)
const WASM = Buffer.from(
    '0061736d0100000001060160017f017f03020100070501016600000a09010700200041076c0b', 'hex');

async function main() {
    console.log('node: primes', primes(2e6));
    const { instance } = await WebAssembly.instantiate(WASM);
    console.log('node: wasm', instance.exports.f(6));
    const workers = [1e5, 2e5].map((workerData) => new Worker(__filename, { workerData }));
    const sums = await Promise.all(workers.map((it) => once(it, 'message')));
    console.log('node: workers', sums.flat().join(' '));
    const child = spawnSync('sh', ['-c', 'cat; exit 3'], { input: 'a pipe' });
    console.log('node: child', child.stdout.toString(), child.status);
    const data = Buffer.alloc(1 << 20, 'xenith');
    const same = zlib.gunzipSync(zlib.gzipSync(data)).equals(data);
    console.log('node: zlib', same, createHash('sha256').update(data).digest('hex').slice(0, 16));
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    console.log('node: signed', verify(null, data, publicKey, sign(null, data, privateKey)));
    fs.mkdirSync('/tmp/folder');
    fs.writeFileSync('/tmp/folder/file', data);
    const read = await fs.promises.readFile('/tmp/folder/file');
    console.log('node: file', read.equals(data), fs.readdirSync('/tmp/folder').join());
    http.createServer((request, response) => {
        response.end(`${request.method} ${request.url}\n`);
    }).listen(80, () => console.log('node: serving'));
    process.on('SIGTERM', () => process.exit(0));
}

if (isMainThread) main();
else parentPort.postMessage(primes(workerData));
