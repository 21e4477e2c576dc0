// Where the package lies: the folder of the nearest package.json, from sources (bin/) and from what is built of them (dist/bin/) alike.

import { existsSync } from 'node:fs';

function find(from: URL): URL {
  return existsSync(new URL('package.json', from)) ? from : find(new URL('..', from));
}

export const packageFolder: URL = find(new URL('.', import.meta.url));
