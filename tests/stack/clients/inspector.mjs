// The inspector's command line: each run connects anew and does one thing, so an exchange is three runs.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ARGUMENTS, TOOL, headerOptions, play, program, readResult, shell } from './exchange.mjs';

const run = promisify(execFile);

await play('@modelcontextprotocol/inspector', async (target, atEnd) => {
    if (!['legacy', 'auto', 'modern'].includes(target.era)) throw new Error(`this client speaks --era legacy, auto or modern, not ${target.era}`);

    // It keeps a catalogue of servers in the user's home.
    const home = mkdtempSync(join(tmpdir(), 'inspector-'));
    atEnd(() => rmSync(home, { recursive: true, force: true }));
    const ending = new AbortController();
    atEnd(() => ending.abort());

    const ask = async (...question) => {
        const { command, args } = program('@modelcontextprotocol/inspector/clients/launcher/build/index.js', [
            '--cli',
            ...placeOf(target),
            '--protocol-era',
            target.era,
            '--format',
            'json',
            ...question,
        ]);
        const { stdout } = await run(command, args, { env: { ...process.env, HOME: home }, signal: ending.signal });
        return JSON.parse(stdout).result;
    };

    const { protocolVersion } = await ask('--method', 'initialize');
    const { tools } = await ask('--method', 'tools/list');
    const result = await ask('--method', 'tools/call', '--tool-name', TOOL, '--tool-args-json', JSON.stringify(ARGUMENTS));
    return { protocol: protocolVersion, tools: tools.map((tool) => tool.name), ...readResult(result) };
});

function placeOf({ transport, url, command, headers }) {
    if (transport !== 'stdio') return ['--transport', transport, '--server-url', url, ...headerOptions(headers)];
    const server = shell(command);
    return ['--transport', 'stdio', server.command, ...server.args];
}
