"""One exchange with a server, the same for every client: connect, list the tools, ask for the time in Tokyo, report it in one line."""

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

TOOL = "utilities_get_time"
ARGUMENTS = {"zone": "Asia/Tokyo"}
MODERN = "2026-07-28"

TIME_LIMIT_SECONDS = 30


@dataclass
class Target:
    """Where the server is and how to speak to it, as the command line says."""

    transport: str
    era: str
    url: str | None
    command: str | None
    headers: dict[str, str] = field(default_factory=dict)

    def mode(self) -> str:
        """What the Python clients call the era."""
        return MODERN if self.era == "modern" else self.era

    def shell(self) -> tuple[str, list[str]]:
        """The program and arguments that start the server's command line; the shell knows about quotes."""
        return "/bin/sh", ["-c", f"exec {self.command}"]


@dataclass
class Outcome:
    """What an exchange brought."""

    protocol: str
    tools: list[str]
    answer: str
    is_error: bool


def play(name: str, converse: Callable[[Target], Awaitable[Outcome]]) -> None:
    """Plays one exchange and ends the process: with 0 and one line of JSON on standard output, or with 1 and the reason on standard error."""
    try:
        outcome = asyncio.run(_within_time_limit(converse, _read_arguments()))
    except Exception as error:
        print(f"{name}: {_reason_of(error)}", file=sys.stderr)
        sys.exit(1)
    report = {
        "client": name,
        "protocol": outcome.protocol,
        "tools": outcome.tools,
        "answer": outcome.answer,
        "isError": outcome.is_error,
    }
    print(json.dumps(report))


def first_text(content: list) -> str:
    """The text of the first text block of an answer."""
    for block in content:
        if block.type == "text":
            return block.text
    raise ValueError(f"the answer has no text block: {content}")


async def _within_time_limit(converse: Callable[[Target], Awaitable[Outcome]], target: Target) -> Outcome:
    try:
        async with asyncio.timeout(TIME_LIMIT_SECONDS) as limit:
            return await converse(target)
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"no answer within {TIME_LIMIT_SECONDS} s") from None
        raise


def _read_arguments() -> Target:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transport", required=True, choices=["http", "sse", "stdio"])
    parser.add_argument("--era", default="legacy")
    parser.add_argument("--url")
    parser.add_argument("--command")
    parser.add_argument("--header", action="append", default=[])
    given = parser.parse_args()
    if given.transport == "stdio" and not given.command:
        parser.error('--transport stdio needs --command "PROGRAM ARGUMENTS"')
    if given.transport != "stdio" and not given.url:
        parser.error(f"--transport {given.transport} needs --url URL")
    headers = {}
    for line in given.header:
        name, colon, value = line.partition(":")
        if not colon:
            parser.error(f'--header must be "Name: value", not "{line}"')
        headers[name.strip()] = value.strip()
    return Target(given.transport, given.era, given.url, given.command, headers)


def _reason_of(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_reason_of(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}"
