// quic-go's HTTP/3 server: `go run . <cert.pem> <key.pem>`. Prints its URL; a line on standard input stops it.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	pair, err := tls.LoadX509KeyPair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http3.Server{
		Handler:   routes(),
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{pair}}),
	}
	go server.Serve(socket)
	fmt.Printf("https://%s/\n", socket.LocalAddr())
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return
	}
	end, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.Shutdown(end)
}

func routes() http.Handler {
	download := make([]byte, 20<<20)
	for at := range download {
		download[at] = byte(at % 251)
	}
	var aborted atomic.Int64
	mux := http.NewServeMux()
	text := func(path string, answer func(*http.Request) string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "text/plain")
			io.WriteString(w, answer(r))
		})
	}
	text("/hello", func(*http.Request) string { return "hello" })
	text("/number/", func(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/number/") })
	text("/aborted", func(*http.Request) string { return fmt.Sprint(aborted.Load()) })
	text("/slow", func(*http.Request) string {
		time.Sleep(500 * time.Millisecond)
		return "slow"
	})
	text("/length", func(r *http.Request) string {
		length, _ := io.Copy(io.Discard, r.Body)
		return fmt.Sprint(length)
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	mux.HandleFunc("/download", func(w http.ResponseWriter, r *http.Request) { w.Write(download) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-large", r.Header.Get("x-large"))
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("trailer", "x-sum")
		io.WriteString(w, "content")
		w.Header().Set("x-sum", "f00d")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		defer aborted.Add(1)
		for {
			if _, err := w.Write(download[:10_000]); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) {
		w.Write(download[:1_000])
		w.(http.Flusher).Flush()
		time.Sleep(20 * time.Millisecond)
		panic(http.ErrAbortHandler)
	})
	return mux
}
