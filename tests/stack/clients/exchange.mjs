// One exchange with a server, the same for every client: connect, list the tools, ask for the time in Tokyo, report it in one line.

import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

export const TOOL = 'utilities_get_time';
export const ARGUMENTS = { zone: 'Asia/Tokyo' };
export const MODERN = '2026-07-28';

const TIME_LIMIT_SECONDS = 30;

/**
 * Plays one exchange and ends the process: with 0 and one line of JSON on standard output, or with 1 and the reason on standard error.
 *
 * `converse` gets the arguments of the command line and `atEnd`, where it leaves what must be closed however the exchange ends.
 * It returns `{ protocol, tools, answer, isError }`.
 */
export async function play(name, converse) {
    const closings = [];
    let status = 1;
    try {
        const target = readArguments();
        const outcome = await withinTimeLimit(converse(target, (close) => closings.unshift(close)));
        console.log(JSON.stringify({ client: name, ...outcome }));
        status = 0;
    } catch (error) {
        console.error(`${name}: ${reasonOf(error)}`);
    }
    for (const close of closings) {
        await Promise.resolve(close()).catch((error) => console.error(`${name}: while closing: ${reasonOf(error)}`));
    }
    process.exit(status);
}

/** Talks through a connected pair of the official SDK, of either major version. */
export async function talk(client, transport, atEnd) {
    atEnd(() => client.close());
    await client.connect(transport);
    const tools = await namesOfAllTools(client);
    const result = await client.callTool({ name: TOOL, arguments: ARGUMENTS });
    // A client that leaves ends its session, where there is one.
    await transport.terminateSession?.();
    return { tools, ...readResult(result) };
}

/** What the report says about the result of a call. */
export function readResult(result) {
    const text = result.content?.find((block) => block.type === 'text')?.text;
    if (text === undefined) throw new Error(`the answer has no text block: ${JSON.stringify(result)}`);
    return { answer: text, isError: result.isError ?? false };
}

/** How a transport over standard input and output starts a command line: through the shell, which knows about quotes. */
export function shell(commandLine) {
    return { command: '/bin/sh', args: ['-c', `exec ${commandLine}`], env: process.env };
}

/** How a transport over standard input and output starts a program of an installed package. */
export function program(path, args) {
    const file = fileURLToPath(new URL(`node_modules/${path}`, import.meta.url));
    return { command: process.execPath, args: [file, ...args], env: process.env };
}

/** The option of a command line tool for each header. */
export function headerOptions(headers) {
    return Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
}

function readArguments() {
    const { values } = parseArgs({
        options: {
            transport: { type: 'string' },
            era: { type: 'string', default: 'legacy' },
            url: { type: 'string' },
            command: { type: 'string' },
            header: { type: 'string', multiple: true, default: [] },
            // Only for bridges: the era in which the bridge itself talks to the server.
            'bridge-era': { type: 'string', default: 'legacy' },
        },
    });
    if (!['http', 'sse', 'stdio'].includes(values.transport)) throw new Error('--transport must be http, sse or stdio');
    if (values.transport === 'stdio' && !values.command) throw new Error('--transport stdio needs --command "PROGRAM ARGUMENTS"');
    if (values.transport !== 'stdio' && !values.url) throw new Error(`--transport ${values.transport} needs --url URL`);
    const headers = Object.fromEntries(values.header.map(readHeader));
    return { ...values, headers, bridgeEra: values['bridge-era'] };
}

function readHeader(line) {
    const colon = line.indexOf(':');
    if (colon < 1) throw new Error(`--header must be "Name: value", not "${line}"`);
    return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
}

async function namesOfAllTools(client) {
    const names = [];
    let cursor;
    do {
        const page = await client.listTools(cursor === undefined ? {} : { cursor });
        names.push(...page.tools.map((tool) => tool.name));
        cursor = page.nextCursor;
    } while (cursor !== undefined);
    return names;
}

function withinTimeLimit(work) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no answer within ${TIME_LIMIT_SECONDS} s`)), TIME_LIMIT_SECONDS * 1000);
        work.then(resolve, reject).finally(() => clearTimeout(timer));
    });
}

function reasonOf(error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return error?.cause === undefined ? reason : `${reason} (${reasonOf(error.cause)})`;
}
