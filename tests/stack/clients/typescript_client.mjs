// The second major version of the TypeScript SDK: both eras, and every revision of the older one.

import { SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { play, shell } from './exchange.mjs';
import { talkIn } from './era.mjs';

await play('@modelcontextprotocol/client', (target, atEnd) => talkIn(target.era, transportTo(target), atEnd));

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
