package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/quic-go/webtransport-go"
)

// client opens sessions with one server.
type client struct {
	base string
}

// open asks for a session at path; the status of the answer is 0 if there was none.
func (c *client) open(ctx context.Context, path string, protocols ...string) (*webtransport.Session, int, error) {
	dialer := &webtransport.Dialer{
		TLSClientConfig:      &tls.Config{InsecureSkipVerify: true},
		ApplicationProtocols: protocols,
	}
	response, session, err := dialer.Dial(ctx, c.base+path, nil)
	status := 0
	if response != nil {
		status = response.StatusCode
	}
	return session, status, err
}

// echo opens a session that sends everything back, with a name by which to ask how it ended.
func (c *client) echo(ctx context.Context) (*webtransport.Session, string, error) {
	id := fmt.Sprintf("go%d", rand.Uint64())
	session, _, err := c.open(ctx, "/sessions/echo/"+id)
	return session, id, err
}

// ending is how the server saw a session end.
type ending struct {
	CloseCode uint32 `json:"closeCode"`
	Reason    string `json:"reason"`
	// Broke says why, if it was not closed.
	Broke string `json:"broke"`
}

func (c *client) ended(ctx context.Context, id string) (ending, error) {
	session, _, err := c.open(ctx, "/sessions/ended/"+id)
	if err != nil {
		return ending{}, err
	}
	defer session.CloseWithError(0, "")
	told, err := said(ctx, session)
	if err != nil {
		return ending{}, err
	}
	var seen ending
	err = json.Unmarshal([]byte(told), &seen)
	return seen, err
}

// said is the line that the server says on its next unidirectional stream.
func said(ctx context.Context, session *webtransport.Session) (string, error) {
	stream, err := session.AcceptUniStream(ctx)
	if err != nil {
		return "", err
	}
	return line(stream)
}

// stream is what line reads from.
type stream interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// line is the next line of a stream, which is left open.
func line(from stream) (string, error) {
	from.SetReadDeadline(time.Now().Add(checkTime))
	var read strings.Builder
	for one := make([]byte, 1); ; {
		if _, err := io.ReadFull(from, one); err != nil {
			return read.String(), err
		}
		if one[0] == '\n' {
			return read.String(), nil
		}
		read.Write(one)
	}
}
