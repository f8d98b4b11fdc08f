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
    const { pathname, search } = new URL(url);
    const reply = await server.client().get(pathname + search);
    assert.equal(reply.status, 200);
    assert.match(reply.headers['content-type'], /^text\/html/);
    assert.match(reply.text, /<form>/);
  });

  it('lets only its own script run', async () => {
    const reply = await server.client().get('/join?invite=x');
    const page = reply.text;
    const script = page.slice(page.indexOf('<script>') + '<script>'.length, page.indexOf('</script>'));
    const hash = createHash('sha256').update(script).digest('base64');
    const policy = reply.headers['content-security-policy'];
    assert.ok(policy.includes(`script-src 'sha256-${hash}'`), policy);
    assert.ok(policy.includes("default-src 'none'"), policy);
  });

  it('keeps the invite out of referrers', async () => {
    const reply = await server.client().get('/join?invite=x');
    assert.equal(reply.headers['referrer-policy'], 'no-referrer');
  });
});
