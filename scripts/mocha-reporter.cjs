// Mocha's spec reporter with one plain closing line, for machines that count: `N passed, N failed`.

'use strict';
const { Spec } = require('mocha').reporters;

module.exports = class ClosingLineReporter extends Spec {
  epilogue() {
    super.epilogue();
    process.stdout.write(`${this.stats.passes} passed, ${this.stats.failures} failed\n`);
  }
};
