"""The Python SDK: both eras. Pinned to the modern one it asks for nothing and calls at once; auto asks server/discover first."""

import os
from contextlib import AsyncExitStack

from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

from exchange import ARGUMENTS, TOOL, Outcome, Target, first_text, play


async def converse(target: Target) -> Outcome:
    async with AsyncExitStack() as open_things:
        server = await server_at(target, open_things)
        client = await open_things.enter_async_context(Client(server, mode=target.mode()))
        tools = await names_of_all_tools(client)
        result = await client.call_tool(TOOL, ARGUMENTS)
        return Outcome(client.protocol_version, tools, first_text(result.content), result.is_error)


async def server_at(target: Target, open_things: AsyncExitStack):
    if target.transport == "stdio":
        program, arguments = target.shell()
        return StdioServerParameters(command=program, args=arguments, env=dict(os.environ))
    if target.transport == "sse":
        return sse_client(target.url, headers=target.headers)
    http = await open_things.enter_async_context(create_mcp_http_client(headers=target.headers))
    return streamable_http_client(target.url, http_client=http)


async def names_of_all_tools(client: Client) -> list[str]:
    names = []
    cursor = None
    while True:
        page = await client.list_tools(cursor=cursor)
        names += [tool.name for tool in page.tools]
        cursor = page.next_cursor
        if cursor is None:
            return names


play("mcp", converse)
