// quic-go under the benchmark's work: `quic-go DIR FILE`, DIR with cert.pem and key.pem, FILE the one that /file sends. Prints
// {"port":N}; ends at SIGTERM. The paths are those of trilane.mjs.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// What a generator hands over at once.
const pieceBytes = 64 * 1024

// As many connections and streams as the others take.
const manyStreams = 1000

var (
	piece = make([]byte, pieceBytes)
	// As long as the file, made when it is first asked for.
	fileBytes  int
	buffer     []byte
	bufferOnce sync.Once
)

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func serve(directory, file string) error {
	certificate, err := tls.LoadX509KeyPair(directory+"/cert.pem", directory+"/key.pem")
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	about, err := os.Stat(file)
	if err != nil {
		return err
	}
	fileBytes = int(about.Size())
	mux := http.NewServeMux()
	mux.HandleFunc("/json", echo)
	mux.HandleFunc("/generator", generate)
	mux.HandleFunc("/buffer", send)
	mux.HandleFunc("/upload", count)
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	mux.HandleFunc("/", hello)
	server := &http3.Server{
		Handler:    mux,
		TLSConfig:  http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{certificate}}),
		QUICConfig: &quic.Config{MaxIncomingStreams: manyStreams},
	}
	fmt.Printf("{\"port\":%d}\n", socket.LocalAddr().(*net.UDPAddr).Port)
	return server.Serve(socket)
}

func hello(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path == "" || r.UserAgent() == "" {
		http.Error(w, "unexpected request", http.StatusBadRequest)
		return
	}
	w.Header().Set("content-type", "text/plain")
	_, _ = io.WriteString(w, "hello world")
}

// The document that came, read and written anew, if all eight fields are there.
func echo(w http.ResponseWriter, r *http.Request) {
	for number := 1; number <= 8; number++ {
		if r.Header.Get("x-field-"+strconv.Itoa(number)) == "" {
			http.Error(w, "a field is missing", http.StatusBadRequest)
			return
		}
	}
	var document map[string]any
	if err := json.NewDecoder(r.Body).Decode(&document); err != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	text, err := json.Marshal(document)
	if err != nil {
		http.Error(w, "no JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("content-type", "application/json")
	_, _ = w.Write(text)
}

func wanted(r *http.Request) int {
	bytes, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
	return bytes
}

func generate(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("content-type", "application/octet-stream")
	for left := wanted(r); left > 0; left -= pieceBytes {
		if _, err := w.Write(piece[:min(left, pieceBytes)]); err != nil {
			return
		}
	}
}

func send(w http.ResponseWriter, r *http.Request) {
	bufferOnce.Do(func() {
		buffer = bytes.Repeat([]byte{'x'}, fileBytes)
	})
	w.Header().Set("content-type", "application/octet-stream")
	_, _ = w.Write(buffer[:min(wanted(r), len(buffer))])
}

func count(w http.ResponseWriter, r *http.Request) {
	bytes, err := io.CopyBuffer(io.Discard, onlyReader{r.Body}, make([]byte, pieceBytes))
	if err != nil {
		return
	}
	_, _ = io.WriteString(w, strconv.FormatInt(bytes, 10))
}

// Hides what else a body can do, so that it is read through the buffer.
type onlyReader struct{ io.Reader }
