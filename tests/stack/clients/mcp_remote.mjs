// mcp-remote between a host on standard input and output and a server on HTTP.
//
// --era is the host's, --bridge-era (legacy or auto) is mcp-remote's own.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { headerOptions, play, program } from './exchange.mjs';
import { Bridge, talkIn } from './era.mjs';

await play('mcp-remote', (target, atEnd) => {
    if (target.transport === 'stdio') throw new Error('this bridge leads to --transport http or sse');

    // It keeps what it learns about logins in a folder, by default in the user's home.
    const memory = mkdtempSync(join(tmpdir(), 'mcp-remote-'));
    atEnd(() => rmSync(memory, { recursive: true, force: true }));

    const bridge = program('mcp-remote/dist/proxy.js', [
        target.url,
        '--transport',
        `${target.transport}-only`,
        '--protocol',
        target.bridgeEra,
        '--allow-http',
        ...headerOptions(target.headers),
    ]);
    bridge.env = { ...bridge.env, MCP_REMOTE_CONFIG_DIR: memory };
    return talkIn(target.era, new Bridge(bridge), atEnd);
});
