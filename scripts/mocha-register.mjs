// Loaded before mocha (.mocharc.json, --import): TypeScript through tsx, and every test file as the ES module that it is.
// Where Node can require() ES modules, mocha requires its files; tsx would turn those into CommonJS, with their own second copy of lib.

import 'tsx';

Object.defineProperty(process.features, 'require_module', { value: false });
