// The second major version of the TypeScript SDK, set to one era: alone, or as the host behind a bridge.

import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { MODERN, talk } from './exchange.mjs';

/** Talks through a transport in an era: legacy, auto, modern, or one revision by its date. */
export async function talkIn(era, transport, atEnd) {
    const client = new Client({ name: 'typescript-client', version: '2' }, optionsFor(era));
    const outcome = await talk(client, transport, atEnd);
    return { protocol: client.getNegotiatedProtocolVersion(), ...outcome };
}

function optionsFor(era) {
    if (era === 'legacy' || era === 'auto') return { versionNegotiation: { mode: era } };
    if (era === 'modern') return { versionNegotiation: { mode: { pin: MODERN } } };
    if (era >= MODERN) return { versionNegotiation: { mode: { pin: era } } };
    // The only revision this client knows is the one it offers and the one it accepts.
    return { supportedProtocolVersions: [era] };
}

/**
 * A bridge, started as the server of its host.
 *
 * To learn which era a server speaks, this SDK starts a second copy of it, but only through its own class.
 * Through any other it asks the one it has, as hosts in other languages do, and the server behind the bridge sees both eras side by side.
 */
export class Bridge extends StdioClientTransport {}
