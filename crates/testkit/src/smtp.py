"""An SMTP server that prints what it is sent, a line of JSON each; its first line is its port.

It ends with its standard input, so that it outlives no test. Arguments: the port, or 0 for a free one.
"""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP


def body(message, kind):
    part = message.get_body((kind,))
    return part.get_content() if part else None


class Printer:
    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        printed = {
            "from": message["from"],
            "to": envelope.rcpt_tos,
            "subject": message["subject"],
            "text": body(message, "plain"),
            "html": body(message, "html"),
        }
        refused = any(address.startswith("refused") for address in envelope.rcpt_tos)
        if refused:
            return "550 no such mailbox"
        print(json.dumps(printed), flush=True)
        return "250 taken"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Printer(), hostname="localhost", enable_SMTPUTF8=True, loop=loop), "127.0.0.1", int(sys.argv[1])
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
