// A process that has loaded the library, but used no TLS, has not loaded node:tls.

import { execFileSync } from 'node:child_process';
import { createServer, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { expect } from 'chai';
import { isTlsSocket, tlsModule } from '../../lib/tls-lazily.ts';
import { Compiled } from '../support/compiled.ts';

describe('node:tls', () => {
  it('is not loaded with the library', async () => {
    await using files = await Compiled.of(['lib/index.ts']);
    const script = `import(${JSON.stringify(files.path('lib/index.ts'))}).then(() => console.log(process.moduleLoadList.join()))`;
    const loaded = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }).trim().split(',');
    expect(loaded).to.include('NativeModule net');
    expect(loaded).not.to.include('NativeModule tls');
  });

  it('is loaded when it is asked for', () => {
    expect(tlsModule().TLSSocket).to.equal(TLSSocket);
  });

  it('tells its sockets from others', () => {
    const plain = new Socket();
    const secure = new TLSSocket(plain);
    expect([isTlsSocket(plain), isTlsSocket(secure), isTlsSocket(createServer()), isTlsSocket({ encrypted: true })]).to.deep.equal([
      false,
      true,
      false,
      false,
    ]);
    secure.destroy();
    plain.destroy();
  });
});
