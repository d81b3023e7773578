#!/usr/bin/env python3
"""A program for the binary runtime that does what the tests ask for, by the Lambda Runtime API alone."""

import http.client
import json
import os
import sys

API = "/2018-06-01/runtime/"


def ask(connection, method, path, body=None, headers={}):
    connection.request(method, API + path, body.encode() if isinstance(body, str) else body, headers)
    answer = connection.getresponse()
    return answer, answer.read()


def main():
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    match os.environ.get("AT_START"):
        case "exit":
            sys.exit(3)
        case "error":
            fault = {"errorType": "Config.Missing", "errorMessage": "no ü", "stackTrace": ["a", "b"]}
            ask(connection, "POST", "init/error", json.dumps(fault))
            sys.exit(1)
    print("starting")
    while True:
        answer, event = ask(connection, "GET", "invocation/next")
        headers = {name.lower(): value for name, value in answer.getheaders()}
        path = f"invocation/{headers['lambda-runtime-aws-request-id']}/"
        event = json.loads(event)
        wanted = json.loads(event["body"])
        print("called", flush=True)
        match wanted:
            case {"answer": text}:
                told, _ = ask(connection, "POST", path + "response", text.encode(), wanted.get("headers", {}))
                print("told", told.status, flush=True)
            case {"stream": parts}:
                head = {"Content-Type": "application/vnd.awslambda.http-integration-response",
                        "Lambda-Runtime-Function-Response-Mode": "streaming"}
                prelude = b'{"statusCode": 201, "headers": {"content-type": "text/x"}}' + bytes(8)
                ask(connection, "POST", path + "response", iter([prelude, *map(str.encode, parts)]), head)
            case {"break off": _}:
                connection.putrequest("POST", API + path + "response")
                connection.putheader("Transfer-Encoding", "chunked")
                connection.putheader("Trailer", "Lambda-Runtime-Function-Error-Type")
                connection.endheaders(b"4\r\nhalf\r\n0\r\nLambda-Runtime-Function-Error-Type: Disk.Full\r\n\r\n")
                connection.getresponse().read()
            case {"error": body}:
                ask(connection, "POST", path + "error", body, wanted.get("headers", {}))
            case {"exit": status}:
                os._exit(status)
            case {"kill": signal}:
                os.kill(os.getpid(), signal)
            case {"large": length}:
                try:
                    ask(connection, "POST", path + "response", b"x" * length)
                except OSError:
                    pass
                connection.close()
            case "what you were given":
                names = ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "LAMBDA_TASK_ROOT", "GREETING"]
                given = {"event": event, "headers": headers, "env": {name: os.environ[name] for name in names}}
                given["memory"] = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])
                files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
                given["sockets"] = sum(os.path.exists(file) and "socket:" in os.readlink(file) for file in files)
                ask(connection, "POST", path + "response", json.dumps(given))
            case "wrong paths":
                statuses = []
                for method, where in [("POST", "invocation/other/response"), ("POST", "invocation/other/error"),
                                      ("GET", "nowhere"), ("POST", "invocation/next"), ("POST", "init/error")]:
                    told, body = ask(connection, method, where, "{}")
                    statuses.append([told.status, json.loads(body)["errorType"]])
                ask(connection, "POST", path + "response", json.dumps(statuses))
                told, _ = ask(connection, "POST", path + "response", "again")
                print("again", told.status, flush=True)


main()
