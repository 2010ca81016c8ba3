// The contract's imports, in a module. In Node.js testing/host.js takes this file's place (`#host` in package.json).

export * as cache from 'informerd:handler/cache@0.1.0';
export * as config from 'informerd:handler/config@0.1.0';
export * as log from 'informerd:handler/log@0.1.0';
export * as objects from 'informerd:handler/objects@0.1.0';
