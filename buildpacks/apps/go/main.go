// A web server of one page, on $PORT or 8080.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

const page = `<!doctype html>
<title>Hello</title>
<h1>Hello from Go</h1>
<p>Built by a buildpack, started by the launcher in %s.</p>
`

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	directory, err := os.Getwd()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, page, directory)
	})
	log.Printf("listening on port %s", port)
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
