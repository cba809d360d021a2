// A web server of one page, on $PORT or 8080.
const http = require("node:http");
const mustache = require("mustache");

const page = `<!doctype html>
<title>Hello</title>
<h1>Hello from {{name}}</h1>
<p>Built by a buildpack, started by the launcher in {{directory}}.</p>
`;
const port = process.env.PORT || 8080;

http
  .createServer((request, response) => {
    if (request.url !== "/") {
      response.writeHead(404, { "Content-Type": "text/html" }).end("<h1>Not found</h1>\n");
      return;
    }
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(mustache.render(page, { name: "Node.js", directory: process.cwd() }));
  })
  .listen(port, () => console.log(`listening on port ${port}`));
