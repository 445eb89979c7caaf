// The first major version of the TypeScript SDK: knows only the revisions with a handshake.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { play, shell, talk } from './exchange.mjs';

await play('@modelcontextprotocol/sdk', async (target, atEnd) => {
    if (target.era !== 'legacy') throw new Error(`this client speaks only --era legacy, not ${target.era}`);
    const transport = transportTo(target);

    // The client tells nobody but its transport which revision was agreed on, and not every transport keeps it.
    let protocol;
    const tellTransport = transport.setProtocolVersion?.bind(transport);
    transport.setProtocolVersion = (version) => {
        protocol = version;
        tellTransport?.(version);
    };

    const client = new Client({ name: 'typescript-sdk', version: '1' });
    const outcome = await talk(client, transport, atEnd);
    return { protocol, ...outcome };
});

function transportTo({ transport, url, command, headers }) {
    const options = { requestInit: { headers } };
    switch (transport) {
        case 'http':
            return new StreamableHTTPClientTransport(new URL(url), options);
        case 'sse':
            return new SSEClientTransport(new URL(url), options);
        case 'stdio':
            return new StdioClientTransport(shell(command));
    }
}
