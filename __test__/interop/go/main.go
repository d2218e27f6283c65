// quic-go: `go run . <url>` runs the checks of checks.ts, `go run . <url> <table>` holds the conversations of malformed.json.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
)

const (
	many      = 100
	checkTime = 20 * time.Second
)

type answer struct {
	status  int
	headers http.Header
	body    []byte
}

// client sends requests to one server and reads whole answers.
type client struct {
	base string
	http *http.Client
}

func (c *client) request(ctx context.Context, method, path string, body []byte) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.base, "/")+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, content}, err
}

type check struct {
	name string
	run  func(context.Context, *client) error
}

var checks = []check{
	{"GET", get},
	{"POST of 100 KB", post},
	{"download of 1 MiB", download},
	{"HEAD", head},
	{"404", notFound},
	{fmt.Sprintf("%d requests at once", many), requestsAtOnce},
	{"streamed answer", streamed},
	{"interim answer", interim},
	{"trailers", trailers},
	{"cancelled download", cancelledDownload},
}

func get(ctx context.Context, c *client) error {
	got, err := c.request(ctx, "GET", "/hello", nil)
	if err != nil {
		return err
	}
	typed := strings.HasPrefix(got.headers.Get("content-type"), "text/plain")
	return errors.Join(expect("status", got.status, 200), expect("body", string(got.body), "hello"), expect("typed", typed, true))
}

func post(ctx context.Context, c *client) error {
	body := make([]byte, 100_000)
	for at := range body {
		body[at] = byte(at * 7)
	}
	got, err := c.request(ctx, "POST", "/echo", body)
	if err != nil {
		return err
	}
	return errors.Join(expect("status", got.status, 200), expect("hash", sha256.Sum256(got.body), sha256.Sum256(body)))
}

func download(ctx context.Context, c *client) error {
	expected := make([]byte, 1<<20)
	for at := range expected {
		expected[at] = byte(at % 251)
	}
	got, err := c.request(ctx, "GET", "/download", nil)
	if err != nil {
		return err
	}
	return expect("hash", sha256.Sum256(got.body), sha256.Sum256(expected))
}

func head(ctx context.Context, c *client) error {
	got, err := c.request(ctx, "HEAD", "/hello", nil)
	if err != nil {
		return err
	}
	return errors.Join(
		expect("status", got.status, 200),
		expect("content-length", got.headers.Get("content-length"), "5"),
		expect("length", len(got.body), 0),
	)
}

func notFound(ctx context.Context, c *client) error {
	got, err := c.request(ctx, "GET", "/nowhere", nil)
	if err != nil {
		return err
	}
	return expect("status", got.status, 404)
}

func requestsAtOnce(ctx context.Context, c *client) error {
	results := make(chan error, many)
	for n := range many {
		go func() {
			got, err := c.request(ctx, "GET", fmt.Sprintf("/number/%d", n), nil)
			if err == nil {
				err = expect("body", string(got.body), fmt.Sprint(n))
			}
			results <- err
		}()
	}
	var all error
	for range many {
		all = errors.Join(all, <-results)
	}
	return all
}

func streamed(ctx context.Context, c *client) error {
	var expected strings.Builder
	for n := range 20 {
		fmt.Fprintf(&expected, "%d\n", n)
	}
	got, err := c.request(ctx, "GET", "/stream", nil)
	if err != nil {
		return err
	}
	return expect("body", string(got.body), expected.String())
}

func interim(ctx context.Context, c *client) error {
	var status int
	var link string
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		status, link = code, header.Get("link")
		return nil
	}}
	got, err := c.request(httptrace.WithClientTrace(ctx, trace), "GET", "/hint", nil)
	if err != nil {
		return err
	}
	return errors.Join(
		expect("interim status", status, 103),
		expect("link", link, "</style.css>; rel=preload; as=style"),
		expect("body", string(got.body), "hinted"),
	)
}

func trailers(ctx context.Context, c *client) error {
	body := io.NopCloser(strings.NewReader("content"))
	request, err := http.NewRequestWithContext(ctx, "POST", strings.TrimSuffix(c.base, "/")+"/trailers", body)
	if err != nil {
		return err
	}
	request.Trailer = http.Header{"X-Sum": {"f00d"}}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	return errors.Join(expect("body", string(content), "content"), expect("trailer", response.Trailer.Get("x-sum"), "f00d"))
}

func cancelledDownload(ctx context.Context, c *client) error {
	aborted := func() (string, error) {
		got, err := c.request(ctx, "GET", "/aborted", nil)
		return string(got.body), err
	}
	before, err := aborted()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(c.base, "/")+"/endless", nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	if _, err := io.ReadFull(response.Body, make([]byte, 1000)); err != nil {
		return err
	}
	response.Body.Close()
	for {
		now, err := aborted()
		if err != nil || now != before {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func expect[T comparable](what string, actual, expected T) error {
	if actual == expected {
		return nil
	}
	return fmt.Errorf("%s is %v, expected %v", what, actual, expected)
}

// report is a line of output.
type report struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	Ms    int64  `json:"ms"`
	Error string `json:"error,omitempty"`
	// Skipped says why there was no check.
	Skipped string `json:"skipped,omitempty"`
}

func main() {
	if len(os.Args) > 2 {
		if err := malformed(os.Args[1], os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	transport := &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.Close()
	c := &client{base: os.Args[1], http: &http.Client{Transport: transport}}
	for _, check := range checks {
		ctx, cancel := context.WithTimeout(context.Background(), checkTime)
		started := time.Now()
		err := check.run(ctx, c)
		cancel()
		line := report{Check: check.name, OK: err == nil, Ms: time.Since(started).Milliseconds()}
		if err != nil {
			line.Error = err.Error()
		}
		json.NewEncoder(os.Stdout).Encode(line)
	}
}
