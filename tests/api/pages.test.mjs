// Pages for people: the one behind an invite link (getJoinPage).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { start } from '../lib/server.mjs';

describe('getJoinPage', () => {
  let server;
  before(async () => { server = await start(); });
  after(async () => { await server.stop(); });

  it('is where an invite link leads', async () => {
    const { url } = await server.admin('invite-worker', '--name', 'Someone', '--listen', new URL(server.base).host);
    const response = await fetch(url);
    assert.equal(response.status, 200);
    assert.match(response.headers.get('content-type'), /^text\/html/);
    assert.match(await response.text(), /<form>/);
  });

  it('lets only its own script run', async () => {
    const response = await fetch(`${server.base}/join?invite=x`);
    const page = await response.text();
    const script = page.slice(page.indexOf('<script>') + '<script>'.length, page.indexOf('</script>'));
    const hash = createHash('sha256').update(script).digest('base64');
    const policy = response.headers.get('content-security-policy');
    assert.ok(policy.includes(`script-src 'sha256-${hash}'`), policy);
    assert.ok(policy.includes("default-src 'none'"), policy);
  });

  it('keeps the invite out of referrers', async () => {
    const response = await fetch(`${server.base}/join?invite=x`);
    assert.equal(response.headers.get('referrer-policy'), 'no-referrer');
  });
});
