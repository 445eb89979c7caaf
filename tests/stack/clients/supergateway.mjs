// supergateway between a host on standard input and output and a server on HTTP; --era is the host's.

import { headerOptions, play, program } from './exchange.mjs';
import { Bridge, talkIn } from './era.mjs';

const OPTION_FOR = { http: '--streamableHttp', sse: '--sse' };

await play('supergateway', (target, atEnd) => {
    const option = OPTION_FOR[target.transport];
    if (option === undefined) throw new Error('this bridge leads to --transport http or sse');

    const bridge = program('supergateway/dist/index.js', [option, target.url, ...headerOptions(target.headers)]);
    return talkIn(target.era, new Bridge(bridge), atEnd);
});
