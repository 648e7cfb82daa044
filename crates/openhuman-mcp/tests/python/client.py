"""Drives a server with the official Python SDK.

    python client.py stdio <stdio_echo binary>
    DEMO_TOKEN=... python client.py http <url>
"""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from mcp.types import TextResourceContents


async def check(read, write):
    steps = []

    async def on_progress(progress, total, message):
        steps.append([progress, total, message])

    async with ClientSession(read, write) as session:
        await session.initialize()
        names = [tool.name for tool in (await session.list_tools()).tools]
        assert names[:2] == ["demo__echo", "demo__grow"], names
        text = "Grüße, 世界 😀"
        echoed = await session.call_tool("demo__echo", {"text": text})
        assert echoed.content[0].text == text and not echoed.is_error, echoed
        wrong = await session.call_tool("demo__echo", {})
        assert wrong.is_error and "the argument 'text' is missing" in wrong.content[0].text, wrong
        counted = await session.call_tool("demo__count", {})
        assert counted.structured_content == {"n": 3}, counted
        await session.call_tool("demo__work", {}, progress_callback=on_progress)
        assert steps == [[1, 3, "step 1"], [2, 3, "step 2"], [3, 3, "step 3"]], steps
        read_back = await session.read_resource((await session.list_resources()).resources[0].uri)
        assert isinstance(read_back.contents[0], TextResourceContents)
        assert read_back.contents[0].text == "Buy milk", read_back
        filled = await session.get_prompt("summary", {"topic": "tides"})
        assert filled.messages[0].content.text == "Summarise tides", filled
        many = await asyncio.gather(*(session.call_tool("demo__echo", {"text": f"n{n}"}) for n in range(100)))
        assert [result.content[0].text for result in many] == [f"n{n}" for n in range(100)]
    return len(many)


async def main(kind, where):
    if kind == "stdio":
        parameters = StdioServerParameters(command=where, env={"DEMO_MORE": "1"})
        async with stdio_client(parameters) as (read, write):
            return await check(read, write)
    headers = {"Authorization": f"Bearer {os.environ['DEMO_TOKEN']}"}
    async with create_mcp_http_client(headers=headers) as http:
        async with streamable_http_client(where, http_client=http) as streams:
            return await check(streams[0], streams[1])


print(json.dumps({"ok": True, "calls": asyncio.run(main(*sys.argv[1:3]))}))
