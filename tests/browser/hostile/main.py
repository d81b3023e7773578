"""A function that wants what is the platform's: by headers, by a form and by a script."""

import pathlib

FOLDER = pathlib.Path(__file__).parent

GREEDY = {
    "set-cookie": "theme=eve; Path=/",
    "clear-site-data": '"cookies", "storage"',
    "service-worker-allowed": "/",
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "content-security-policy": "sandbox allow-scripts allow-same-origin allow-forms allow-popups",
}


def handle(request, context):
    if request["path"] == "/worker.js":
        name, kind = "worker.js", "text/javascript"
    else:
        name, kind = "page.html", "text/html"
    body = (FOLDER / name).read_text().replace("PLATFORM", request["query"].get("platform", ""))
    return {"status_code": 200, "headers": GREEDY | {"content-type": kind}, "body": body}
