"""A web server of one page, on $PORT or 8080."""

import os

from bottle import Bottle, template

PAGE = """<!doctype html>
<title>Hello</title>
<h1>Hello from Python</h1>
<p>Built by a buildpack, started by the launcher in {{directory}}.</p>
"""

app = Bottle()


@app.get("/")
def page():
    return template(PAGE, directory=os.getcwd())


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("PORT", "8080")))
