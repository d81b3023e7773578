"""Turns Markdown into HTML and says what is in it."""

import re

import markdown


def handle(request, context):
    body = request["body"]
    text = body.get("markdown") if isinstance(body, dict) else None
    if not isinstance(text, str):
        return {"status_code": 400, "body": {"error": "send {\"markdown\": \"...\"}"}}
    html = markdown.markdown(text, extensions=["fenced_code", "tables"])
    headings = re.findall(r"<h[1-6][^>]*>(.*?)</h[1-6]>", html)
    print(f"{len(text)} characters, {len(headings)} headings")
    return {"title": headings[0] if headings else None, "headings": len(headings), "html": html}
