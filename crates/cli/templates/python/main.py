def handle(request, context):
    """Greets whoever the request names."""
    name = (request.body or {}).get("name", "world")
    print(f"greeting {name}")
    return {"message": f"Hello, {name}!"}
