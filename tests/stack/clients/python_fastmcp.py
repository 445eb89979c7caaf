"""FastMCP's client, on top of the Python SDK: both eras, with transports of its own."""

import os

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport

from exchange import ARGUMENTS, TOOL, Outcome, Target, first_text, play


async def converse(target: Target) -> Outcome:
    async with Client(transport_to(target), mode=target.mode()) as client:
        tools = await client.list_tools()
        result = await client.call_tool(TOOL, ARGUMENTS, raise_on_error=False)
        names = [tool.name for tool in tools]
        return Outcome(client.protocol_version, names, first_text(result.content), result.is_error)


def transport_to(target: Target):
    if target.transport == "http":
        return StreamableHttpTransport(target.url, headers=target.headers)
    if target.transport == "sse":
        return SSETransport(target.url, headers=target.headers)
    program, arguments = target.shell()
    # The server would otherwise outlive the conversation, for a next one in the same process.
    return StdioTransport(program, arguments, env=dict(os.environ), keep_alive=False)


play("fastmcp", converse)
